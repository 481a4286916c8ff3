package sandbox

import (
	"math"
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
	turn    int // how often one was given back
	granted int // how often one was taken

	wanted atomic.Int32 // how many stand in line for short runs
	lately atomic.Int64 // when a short run was last over, on the engine's clock
}

// What waits for a core, each in a line of its own, in the order of the lines.
const (
	short = iota // a run that is not known to have had a quantum
	chore        // the host's own (Engine.Chore): fifty instances to be made do not go before an event that has one
	long         // a run that has had its quantum
	lines
)

// line is a queue of those that wait for a core.
type line []waiter

type waiter struct {
	ready chan struct{} // closed when it has one
	by    *holder
	until int64 // its deadline, on the engine's clock
}

// never is the deadline of what has none.
const never = math.MaxInt64

// holder counts the cores of one function, or those of the host for its chores. It
// belongs to the cores, under whose lock it is.
type holder struct {
	cores int
	last  int // cores.granted when it last got one
}

// fairness is of how many cores that become free one goes to long runs or to chores
// first, by turns: a long run has a deadline too, and an answer may wait for a chore.
const fairness = 8

// keepFor is how long one core is kept for short runs after the last of them. With
// ten or more short events a second, long ones do without it.
const keepFor = int64(100 * time.Millisecond)

func newCores(n int, elapsed func() int64) *cores {
	c := &cores{all: n, free: n, elapsed: elapsed}
	c.lately.Store(-keepFor)
	return c
}

// take waits in a line for a core. From until on it is the next to get one, whatever its
// line: a run whose time is over needs a core for no longer than it takes to end.
func (c *cores) take(in int, by *holder, until int64) {
	c.mu.Lock()
	if c.free > c.kept(in) || c.free > 0 && until <= c.elapsed() {
		c.grant(by)
		c.mu.Unlock()
		return
	}
	ready := make(chan struct{})
	c.waiting[in] = append(c.waiting[in], waiter{ready, by, until})
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
	for w, ok := c.next(); ok; w, ok = c.next() {
		c.grant(w.by)
		close(w.ready)
	}
	c.wanted.Store(int32(len(c.waiting[short])))
}

// grant gives away one of the free cores.
func (c *cores) grant(by *holder) {
	c.free--
	c.granted++
	by.cores++
	by.last = c.granted
}

// next takes the one whose turn it is out of its line, unless nobody who waits may go on.
func (c *cores) next() (w waiter, ok bool) {
	if c.free == 0 {
		return waiter{}, false
	}
	if w, ok := c.late(); ok {
		return w, true
	}
	order := [lines]int{short, chore, long}
	switch c.turn % (2 * fairness) {
	case fairness:
		order = [lines]int{long, chore, short}
	case 0:
		order = [lines]int{chore, long, short}
	}
	crowded := len(c.waiting[short]) > 0 // then no core is being kept
	for _, in := range order {
		if len(c.waiting[in]) > 0 && (crowded || c.free > c.kept(in)) {
			return c.waiting[in].pop(), true
		}
	}
	return waiter{}, false
}

// late takes out of its line whoever's deadline was the first to pass, if anybody's has.
func (c *cores) late() (waiter, bool) {
	line, at, until := 0, 0, int64(never)
	for in := range c.waiting {
		for i, w := range c.waiting[in] {
			if w.until < until {
				line, at, until = in, i, w.until
			}
		}
	}
	if until == never || until > c.elapsed() {
		return waiter{}, false
	}
	return c.waiting[line].remove(at), true
}

// kept is how many of the free cores are not for a line. While somebody waits because
// of it, another core is taken, and whoever gives that back lets him go on.
func (c *cores) kept(in int) int {
	if in == short || c.all == 1 || c.elapsed()-c.lately.Load() >= keepFor {
		return 0
	}
	return 1
}

// pop takes out the one that is next: of the functions that have the fewest cores, the
// first of the one that got its last one longest ago. So a function with one event does
// not stand behind another's fifty, also where there is one core for both.
func (l *line) pop() waiter {
	next := 0
	for i, w := range *l {
		if w.by.before((*l)[next].by) {
			next = i
		}
	}
	return l.remove(next)
}

func (l *line) remove(i int) waiter {
	w := (*l)[i]
	*l = slices.Delete(*l, i, i+1)
	return w
}

func (h *holder) before(other *holder) bool {
	if h.cores != other.cores {
		return h.cores < other.cores
	}
	return h.last < other.last
}
