package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"spore/host/sandbox"
)

// timed is one variant of one workload, called from this process. once does one
// request and returns how long the guest's own code ran, where it knows.
type timed struct {
	batch int // requests a sample
	once  func(context.Context) (guest time.Duration, err error)

	total series
	rest  *series // what is left of a sample without the guest's own code; may be nil
}

// addTimed prepares the variants of a workload that need no network. It returns how
// long a request takes spore, from a first block of them.
func (b *bench) addTimed(ctx context.Context, w workload, module string) (busy time.Duration, err error) {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return 0, err
	}
	native := func(context.Context) (time.Duration, error) { _, err := w.native(w.body); return 0, err }
	unchanged, err := newPlain(ctx, b.dir, wasm, w.event(), false)
	if err != nil {
		return 0, err
	}
	b.closers = append(b.closers, unchanged.close)
	instrumented, err := newPlain(ctx, b.dir, wasm, w.event(), true)
	if err != nil {
		return 0, err
	}
	b.closers = append(b.closers, instrumented.close)
	unisolated, err := newSpore(ctx, sandbox.Options{Directory: b.dir, Unisolated: true}, wasm, w)
	if err != nil {
		return 0, err
	}
	b.closers = append(b.closers, unisolated.close)
	spore, err := newSpore(ctx, sandbox.Options{Directory: b.dir}, wasm, w)
	if err != nil {
		return 0, err
	}
	b.closers = append(b.closers, spore.close)
	b.timed = append(b.timed,
		&timed{batch: w.batch, once: native, total: micros(w, "native")},
		&timed{batch: 1, once: unchanged.fresh, total: micros(w, "wazero")},
		&timed{batch: 1, once: unchanged.reused, total: micros(w, "reused")},
		&timed{batch: 1, once: instrumented.reused, total: micros(w, "instrumented")},
		&timed{batch: 1, once: unisolated.serve, total: micros(w, "unisolated")},
		&timed{batch: 1, once: spore.serve, total: micros(w, "spore"), rest: &series{name: w.name + "/overhead", unit: "us"}},
	)
	first := &timed{batch: 1, once: spore.serve, total: micros(w, "first")}
	if err := first.block(ctx, b.block/5); err != nil {
		return 0, err
	}
	return time.Duration(1e3 * quantile(first.total.samples, 0.5)), nil
}

func micros(w workload, variant string) series {
	return series{name: w.name + "/" + variant, unit: "us"}
}

// block takes samples for about d, at least one.
func (t *timed) block(ctx context.Context, d time.Duration) error {
	var total, rest []float64
	for begin := time.Now(); len(total) == 0 || time.Since(begin) < d; {
		var guest time.Duration
		start := time.Now()
		for range t.batch {
			g, err := t.once(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", t.total.name, err)
			}
			guest += g
		}
		took := time.Since(start)
		total = append(total, float64(took)/float64(t.batch)/1e3)
		rest = append(rest, float64(took-guest)/float64(t.batch)/1e3)
	}
	t.total.add(total)
	if t.rest != nil {
		t.rest.add(rest)
	}
	return nil
}
