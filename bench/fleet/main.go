// Command fleet measures what functions cost that nobody calls: it deploys many
// functions on a real host, restarts it, and then asks some of them for the first
// time. It also times a host with three functions from its start to its first
// answer.
//
//	go run ./bench/fleet
//	go run ./bench/fleet -functions 200
//
// The host is built from this tree and runs as a process of its own on a loopback
// port, with everything in a temporary directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"spore/host/gobuild"
)

const (
	distinct   = 20 // modules
	withNet    = 4  // of these, that have net/http inside
	smallHost  = 3  // functions of the host whose start is timed
	startTimes = 10 // starts of that host
)

func main() {
	functions := flag.Int("functions", 10_000, "how many functions to deploy, of 20 distinct modules")
	asked := flag.Int("asked", 400, "how many of them to ask for the first time, if there are so many")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *functions, min(*asked, *functions))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, functions, asked int) error {
	if functions < distinct || asked < distinct {
		return fmt.Errorf("-functions and -asked take numbers from %d", distinct)
	}
	dir, err := os.MkdirTemp("", "spore-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	say("building the host and the modules")
	if err := build(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s/%s, %d cores\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if err := fleet(ctx, table, dir, functions, asked); err != nil {
		return err
	}
	if err := small(ctx, table, dir); err != nil {
		return err
	}
	return table.Flush()
}

func say(text string, args ...any) { fmt.Fprintf(os.Stderr, text+"\n", args...) }

// build makes the spore binary and the distinct modules: two programs, told apart
// by a custom section, which is part of a module's identity and of nothing else.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "spore"), "./host")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the host (run this in the spore source tree): %w", err)
	}
	programs := map[bool]string{false: "bench/w2", true: "host/sandbox/testdata/netprobe"}
	for i := range distinct {
		wasm, err := gobuild.Build(ctx, programs[usesNet(i)], filepath.Join(dir, "built"))
		if err != nil {
			return err
		}
		note := fmt.Appendf(nil, "\x05fleet%02d", i)
		wasm = append(append(slices.Clip(wasm), 0, byte(len(note))), note...)
		if err := os.WriteFile(modulePath(dir, i), wasm, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func usesNet(i int) bool { return i%distinct >= distinct-withNet }

func modulePath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("m%02d.wasm", i%distinct))
}

// configure writes the functions.toml of a host with n functions and returns its path.
func configure(dir string, n int) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "[host]\nlisten = \"127.0.0.1:0\"\ndata = %q\nlog = \"json\"\n", filepath.Join(dir, fmt.Sprintf("data-%d", n)))
	for i := range n { // short, because the file has a limit
		fmt.Fprintf(&b, "\n[function.f%d]\nmodule=%q\n[[function.f%d.route]]\npath=\"/f%d\"\nmethod=\"POST\"\n", i, filepath.Base(modulePath(dir, i)), i, i)
	}
	path := filepath.Join(dir, fmt.Sprintf("functions-%d.toml", n))
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// fleet deploys n functions, restarts the host, and asks some of them.
func fleet(ctx context.Context, out io.Writer, dir string, n, asked int) (err error) {
	config, err := configure(dir, n)
	if err != nil {
		return err
	}
	say("deploying %d functions for the first time", n)
	h, err := start(ctx, dir, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "functions deployed\t%d of %d modules\n", n, distinct)
	fmt.Fprintf(out, "first deploy of all\t%.1f s\t%.1f ms each\n", h.took.Seconds(), float64(h.took.Milliseconds())/float64(n))
	if err := h.stop(); err != nil {
		return err
	}
	disk, err := diskUse(filepath.Join(dir, fmt.Sprintf("data-%d", n)))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "disk\t%.0f KB each\n", float64(disk)/1e3/float64(n))

	say("starting the host again")
	if h, err = start(ctx, dir, config); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	resident, err := h.resident()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "restart with all\t%.1f s\t%.2f ms each\n", h.took.Seconds(), float64(h.took.Milliseconds())/float64(n))
	fmt.Fprintf(out, "resident memory, all at rest\t%.0f MB\t%.1f KB each\n", float64(resident)/1e6, float64(resident)/1e3/float64(n))
	say("asking %d of them for the first time", asked)
	return firstAnswers(out, h, n, asked)
}

// firstAnswers asks functions that are at rest, spread over all modules.
func firstAnswers(out io.Writer, h *host, n, asked int) error {
	took := map[bool][]float64{}
	for i := range asked {
		f := (i * (n / asked)) / distinct * distinct // the first of a block of all modules
		f = min(f+i%distinct, n-1)
		d, err := h.ask(fmt.Sprintf("/f%d", f))
		if err != nil {
			return err
		}
		took[usesNet(f)] = append(took[usesNet(f)], float64(d.Microseconds())/1e3)
	}
	for _, of := range []struct {
		net  bool
		name string
	}{{false, "JSON module"}, {true, "module with net/http"}} {
		t := took[of.net]
		slices.Sort(t)
		fmt.Fprintf(out, "first answer, %s\tmedian %.1f ms\tp99 %.1f ms\tlongest %.1f ms\tof %d\n",
			of.name, t[len(t)/2], t[len(t)*99/100], t[len(t)-1], len(t))
	}
	return nil
}

// small times a host with few functions, all prepared, from its start as a process
// to its first answer.
func small(ctx context.Context, out io.Writer, dir string) error {
	config, err := configure(dir, smallHost)
	if err != nil {
		return err
	}
	var took []float64
	for i := range startTimes + 1 {
		begin := time.Now()
		h, err := start(ctx, dir, config)
		if err != nil {
			return err
		}
		if _, err := h.ask("/f1"); err != nil {
			return errors.Join(err, h.stop())
		}
		if i > 0 { // the first start prepares them
			took = append(took, float64(time.Since(begin).Microseconds())/1e3)
		}
		if err := h.stop(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Fprintf(out, "host with %d functions, start to first answer\tmedian %.1f ms\tlongest %.1f ms\tof %d\n",
		smallHost, took[len(took)/2], took[len(took)-1], len(took))
	return nil
}

// diskUse is what files take below dir, in bytes.
func diskUse(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
