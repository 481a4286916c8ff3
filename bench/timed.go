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

	took, left []float64 // this round's samples for total and rest, us
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
	if err := first.run(ctx, b.block/5); err != nil {
		return 0, err
	}
	first.endRound()
	return time.Duration(1e3 * quantile(first.total.samples, 0.5)), nil
}

func micros(w workload, variant string) series {
	return series{name: w.name + "/" + variant, unit: "us"}
}

// turns is in how many turns the variants share a round, so that a stretch in which the
// machine is slow falls on all of them.
const turns = 5

// inProcess runs one round of all variants that need no network.
func (b *bench) inProcess(ctx context.Context) error {
	for range turns {
		for _, t := range b.timed {
			if err := t.run(ctx, b.block/5/turns); err != nil {
				return err
			}
		}
	}
	for _, t := range b.timed {
		t.endRound()
	}
	return nil
}

// run takes samples for about d, at least one.
func (t *timed) run(ctx context.Context, d time.Duration) error {
	for begin := time.Now(); ; {
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
		t.took = append(t.took, float64(took)/float64(t.batch)/1e3)
		t.left = append(t.left, float64(took-guest)/float64(t.batch)/1e3)
		if time.Since(begin) >= d {
			return nil
		}
	}
}

func (t *timed) endRound() {
	t.total.add(t.took)
	if t.rest != nil {
		t.rest.add(t.left)
	}
	t.took, t.left = nil, nil
}
