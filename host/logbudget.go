package main

import (
	"sync"
	"time"
)

// maxLogSecond is how many bytes one function may log in a second, all its events
// together: a flood must not crowd the lines of others out of the
// log writer's queue, nor fill a disk.
const maxLogSecond = 1 << 20

// logBudget is what one function may log. Seconds begin with a line, not with the clock's.
type logBudget struct {
	truncated func(dropped int) // called once after a second in which lines were dropped

	mu      sync.Mutex
	until   time.Time // the end of the present second
	used    int       // bytes
	dropped int       // lines
}

// admits reports whether a line of so many bytes may be logged, and counts it.
func (b *logBudget) admits(size int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !now.Before(b.until) {
		b.until, b.used = now.Add(time.Second), 0
	}
	if b.used+size <= maxLogSecond {
		b.used += size
		return true
	}
	if b.dropped++; b.dropped == 1 {
		time.AfterFunc(b.until.Sub(now), b.report)
	}
	return false
}

func (b *logBudget) report() {
	b.mu.Lock()
	dropped := b.dropped
	b.dropped = 0
	b.mu.Unlock()
	b.truncated(dropped)
}
