package sandbox

import (
	"context"
	"testing"
	"time"
)

// PageOut asks the kernel to swap out the memory of img's idle instances, and
// returns how many of their pages are in swap then.
func PageOut(tb testing.TB, img *Image) (swapped int) {
	tb.Helper()
	res := img.resident.Load()
	res.idle.mu.Lock()
	defer res.idle.mu.Unlock()
	for _, inst := range res.idle.instances {
		pageOut(tb, inst.bytes())
		swapped += swappedPages(inst.memory)
	}
	return swapped
}

// Sweep looks for images to put at rest, as Run does.
func Sweep(e *Engine) { e.sweep() }

// FinishWaking ends what was begun to bring img into memory.
func FinishWaking(img *Image) {
	w := &waking{cancel: func() {}, done: make(chan struct{})}
	w.run(context.Background(), img)
}

// Programs returns how many modules' code is in memory.
func Programs(e *Engine) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.programs)
}

// Idle returns how many instances img keeps for the next events.
func Idle(img *Image) int {
	res := img.resident.Load()
	if res == nil {
		return 0
	}
	res.idle.mu.Lock()
	defer res.idle.mu.Unlock()
	return len(res.idle.instances)
}

// Restores are the engine's counts of what became of the instances that have served.
type Restores struct{ InPlace, Spared, Dropped int64 }

// Restores returns the counts since the engine was opened.
func (e *Engine) Restores() Restores {
	c := &e.restores
	return Restores{c.inPlace.Load(), c.spared.Load(), c.dropped.Load()}
}

// CompileWithin is how long the engine's compiling processes may take.
func CompileWithin(e *Engine, d time.Duration) { e.compileTime = d }
