// Command bench measures what a sandbox costs. In one run, interleaved block by
// block, it times the same two workloads
//
//	w1  a 13-byte answer
//	w2  a 1 KB alert through encoding/json and back
//
// as native Go, in one reused wazero instance without isolation, in plain wazero
// with a new instance a request, and in spore. spore-overhead is what spore adds
// around the guest's own code: all the time from asking for a sandbox to having
// cleaned it up, less the time spent inside WebAssembly outside host functions.
//
//	go run ./bench
//	go run ./bench -json -rounds 40 > now.jsonl
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"spore/bench/alert"
	"spore/host/gobuild"
)

func main() {
	asJSON := flag.Bool("json", false, "print one JSON object a line")
	rounds := flag.Int("rounds", 20, "interleaved blocks a measurement")
	only := flag.String("run", ".", "run only the measurements whose name matches this `regexp`")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *rounds, *only, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, rounds int, only string, asJSON bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if rounds < 1 {
		return errors.New("-rounds takes a number from 1")
	}
	dir, err := os.MkdirTemp("", "spore-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	measurements, closeAll, err := prepare(ctx, dir)
	defer closeAll()
	if err != nil {
		return err
	}
	measurements = slices.DeleteFunc(measurements, func(m *measurement) bool { return !match.MatchString(m.name) && !match.MatchString(m.name+"-overhead") })
	for range rounds {
		for _, m := range measurements {
			if err := m.block(ctx); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return report(out, measurements, asJSON)
}

// workload is one of the two things measured.
type workload struct {
	name   string
	source string
	body   []byte
	native func() error
}

func workloads() []workload {
	sample := []byte(alert.Sample)
	return []workload{
		{"w1", "modules/hello", nil, func() error { runtime.KeepAlive(hello()); return nil }},
		{"w2", "bench/w2", sample, func() error { _, err := alert.Decide(sample); return err }},
	}
}

//go:noinline
func hello() []byte { return []byte("Hello, world!") }

// prepare builds the modules and everything that runs them.
func prepare(ctx context.Context, dir string) (all []*measurement, closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			c()
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, closeAll, err
	}
	for _, w := range workloads() {
		fmt.Fprintf(os.Stderr, "building %s\n", w.source)
		wasm, err := gobuild.Build(ctx, filepath.Join(root, w.source), filepath.Join(dir, "built"))
		if err != nil {
			return nil, closeAll, err
		}
		plain, err := newPlain(ctx, wasm, w.body)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, plain.close)
		spore, err := newSpore(ctx, dir, wasm, w.body)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, spore.close)
		all = append(all,
			&measurement{name: w.name + "/native", perBlock: 50, batch: 200, once: func(context.Context) (time.Duration, error) { return 0, w.native() }},
			&measurement{name: w.name + "/reused", perBlock: 200, batch: 1, once: plain.reused},
			&measurement{name: w.name + "/wazero", perBlock: 5, batch: 1, once: plain.fresh},
			&measurement{name: w.name + "/spore", perBlock: 100, batch: 1, once: spore.serve, overhead: true},
		)
	}
	return all, closeAll, nil
}

// moduleRoot is the nearest directory upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside the spore source tree")
		}
		dir = up
	}
}

// measurement times one variant of one workload. once does one request and
// returns how long the guest's own code ran, where it knows.
type measurement struct {
	name     string
	perBlock int // samples a block
	batch    int // requests a sample, for what is shorter than the clock can tell
	once     func(context.Context) (guest time.Duration, err error)
	overhead bool // report what is left of a sample without the guest's own code

	total, rest []float64 // ns
}

func (m *measurement) block(ctx context.Context) error {
	for range m.perBlock {
		var guest time.Duration
		start := time.Now()
		for range m.batch {
			g, err := m.once(ctx)
			if err != nil {
				return err
			}
			guest += g
		}
		took := time.Since(start)
		m.total = append(m.total, float64(took)/float64(m.batch))
		m.rest = append(m.rest, float64(took-guest)/float64(m.batch))
	}
	return nil
}

// line is one line of the result.
type line struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	N      int     `json:"n"`
}

func summarise(name string, ns []float64) line {
	slices.Sort(ns)
	at := func(q float64) float64 { return ns[int(q*float64(len(ns)-1))] / 1e3 }
	return line{name, "us", at(0), at(0.5), at(0.99), len(ns)}
}

func report(out io.Writer, measurements []*measurement, asJSON bool) error {
	var lines []line
	for _, m := range measurements {
		lines = append(lines, summarise(m.name, m.total))
		if m.overhead {
			lines = append(lines, summarise(m.name+"-overhead", m.rest))
		}
	}
	if asJSON {
		enc := json.NewEncoder(out)
		for _, l := range lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(out, "%s, %s/%s, %d cores\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "name\tmin us\tmedian us\tp99 us\tn\t")
	for _, l := range lines {
		fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.3f\t%d\t\n", l.Name, l.Min, l.Median, l.P99, l.N)
	}
	return table.Flush()
}
