package sandbox

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// cores hands out the right to execute a guest's code to as many runs as there are
// cores. Runs that have had little of it go first: an event that needs less than a
// quantum does not stand behind fifty that never end. While there are such runs, one
// core is kept for them, so that they do not even wait for a long one to yield.
type cores struct {
	all     int
	elapsed func() int64 // the engine's clock

	mu      sync.Mutex
	host    holder // for chores
	free    int
	waiting [lines]line
	turn    int

	wanted atomic.Int32 // how many stand in line for short runs
	lately atomic.Int64 // when a short run was last over, on the engine's clock
}

// What waits for a core, each in a line of its own, in the order of the lines.
const (
	short = iota // a run that is not known to have had a quantum
	chore        // an instance to be made, or to be closed: fifty at once do not go before an event that has one
	long         // a run that has had its quantum
	lines
)

// line is a queue of those that wait for a core.
type line []waiter

type waiter struct {
	ready chan struct{} // closed when it has one
	by    *holder
}

// holder counts the cores of one function, or those of the host for its chores. It
// belongs to the cores, under whose lock it is.
type holder struct{ cores int }

// fairness is of how many cores that become free one goes to the last line first,
// while short runs wait for all of them: a long run has a deadline too.
const fairness = 8

// keepFor is how long one core is kept for short runs after the last of them. With
// ten or more short events a second, long ones do without it.
const keepFor = int64(100 * time.Millisecond)

func newCores(n int, elapsed func() int64) *cores {
	c := &cores{all: n, free: n, elapsed: elapsed}
	c.lately.Store(-keepFor)
	return c
}

// take waits in a line for a core.
func (c *cores) take(in int, by *holder) {
	c.mu.Lock()
	if c.free > c.kept(in) {
		c.free--
		by.cores++
		c.mu.Unlock()
		return
	}
	ready := make(chan struct{})
	c.waiting[in] = append(c.waiting[in], waiter{ready, by})
	c.wanted.Store(int32(len(c.waiting[short])))
	c.mu.Unlock()
	<-ready
}

// give hands a core to the next one in line, or keeps it.
func (c *cores) give(by *holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	c.free++
	by.cores--
	for next := c.next(); next != nil; next = c.next() {
		w := next.pop()
		c.free--
		w.by.cores++
		close(w.ready)
	}
	c.wanted.Store(int32(len(c.waiting[short])))
}

// next returns the line whose turn it is, or nil when nobody who waits may go on.
func (c *cores) next() *line {
	if c.free == 0 {
		return nil
	}
	if c.turn%fairness == 0 && len(c.waiting[short]) > 0 {
		for i := range lines {
			if l := &c.waiting[lines-1-i]; len(*l) > 0 {
				return l
			}
		}
	}
	for i := range lines {
		if len(c.waiting[i]) > 0 && c.free > c.kept(i) {
			return &c.waiting[i]
		}
	}
	return nil
}

// kept is how many of the free cores are not for a line. While somebody waits because
// of it, another core is taken, and whoever gives that back lets him go on.
func (c *cores) kept(in int) int {
	if in == short || c.all == 1 || c.elapsed()-c.lately.Load() >= keepFor {
		return 0
	}
	return 1
}

// pop takes out the one that is next: the first of those whose functions have the
// fewest cores, so that a function with one event does not stand behind another's fifty.
func (l *line) pop() waiter {
	next := 0
	for i, w := range *l {
		if w.by.cores < (*l)[next].by.cores {
			next = i
		}
	}
	w := (*l)[next]
	*l = slices.Delete(*l, next, next+1)
	return w
}
