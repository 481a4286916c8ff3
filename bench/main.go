// Command bench measures what spore promises about the cost of a sandbox, in one
// run: the same two workloads as a native call, in plain wazero with a new
// instance a request, in one reused instance without isolation and in spore, and
// over HTTP with servers and client in processes of their own. Machines drift, so
// a run is made of rounds, every round has a short block of every variant, and a
// promise is judged by the median of what the rounds say.
//
//	go run ./bench -run sandbox
//	go run ./bench -run sandbox/w1 -rounds 40 -json > now.jsonl
//
// A promise that misses is said in words; the exit code tells only whether the
// measurement could be made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ran, err := runChild(ctx, os.Args[1:])
	if !ran {
		err = command(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are how much is measured.
type settings struct {
	rounds   int
	block    time.Duration  // of one HTTP variant in one round
	only     *regexp.Regexp // of workloads' names
	profiles string         // folder for CPU profiles of the servers; "" for none
}

func command(ctx context.Context) error {
	var cfg settings
	flag.IntVar(&cfg.rounds, "rounds", 20, "interleaved blocks of every variant")
	flag.DurationVar(&cfg.block, "block", 500*time.Millisecond, "length of an HTTP block; blocks without HTTP take a fifth of it")
	flag.StringVar(&cfg.profiles, "profiles", "", "write a CPU profile of every server to this `folder`")
	only := flag.String("run", "sandbox", "run only the workloads whose name matches this `regexp`: sandbox/w1, sandbox/w2")
	asJSON := flag.Bool("json", false, "print one JSON object a line")
	svg := flag.String("svg", "", "draw the latencies to this `file`")
	flag.Parse()
	var err error
	if cfg.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if cfg.rounds < 1 || cfg.block <= 0 {
		return errors.New("-rounds takes a number from 1, -block a duration above 0")
	}
	dir, err := os.MkdirTemp("", "spore-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	res, err := run(ctx, cfg, dir, os.Stderr)
	if err != nil {
		return err
	}
	if *svg != "" {
		if err := os.WriteFile(*svg, plot(res), 0o644); err != nil {
			return err
		}
	}
	if *asJSON {
		return printJSON(os.Stdout, res)
	}
	return printText(os.Stdout, res)
}

// run measures everything. Derived files go to dir.
func run(ctx context.Context, cfg settings, dir string, progress io.Writer) (*results, error) {
	b := &bench{settings: cfg, dir: dir, progress: newProgress(progress)}
	defer b.progress.wipe()
	err := b.prepare(ctx)
	if err == nil {
		err = b.measure(ctx)
	}
	err = errors.Join(err, b.close())
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("interrupted")
	case err != nil:
		return nil, err
	}
	return &b.results, nil
}

// bench is everything that runs, and what was measured about it.
type bench struct {
	settings
	dir      string
	progress *progress
	client   *client
	closers  []func() error
	results
}

func (b *bench) prepare(ctx context.Context) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	for _, w := range workloads() {
		if !b.only.MatchString("sandbox/" + w.name) {
			continue
		}
		b.workloads = append(b.workloads, w)
		b.progress.say("building and preparing " + w.source)
		module, err := w.build(ctx, root, b.dir)
		if err != nil {
			return err
		}
		busy, err := b.addTimed(ctx, w, module)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if err := b.addServed(w, module, busy); err != nil {
			return fmt.Errorf("%s over HTTP: %w", w.name, err)
		}
	}
	if b.workloads == nil {
		return errors.New("-run matches none of sandbox/w1 and sandbox/w2")
	}
	return nil
}

// measure runs the rounds, every other one backwards, so that no variant always
// follows the same one.
func (b *bench) measure(ctx context.Context) error {
	var blocks []func() error
	for _, t := range b.timed {
		blocks = append(blocks, func() error { return t.block(ctx, b.block/5) })
	}
	for _, s := range b.served {
		blocks = append(blocks, s.block)
	}
	start := time.Now()
	for round := range b.rounds {
		b.progress.round(round, b.rounds, time.Since(start))
		for _, block := range blocks {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := block(); err != nil {
				return err
			}
		}
		slices.Reverse(blocks)
	}
	return nil
}

// close ends everything that runs, last first.
func (b *bench) close() error {
	var errs []error
	for _, c := range slices.Backward(b.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
