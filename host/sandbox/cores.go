package sandbox

import (
	"sync"
	"sync/atomic"
)

// cores hands out the right to execute a guest's code to as many runs as there are
// cores. Runs that have had little of it go first: an event that needs less than a
// quantum does not stand behind fifty that never end.
type cores struct {
	mu      sync.Mutex
	free    int
	waiting [2]line // runs that have had less than a quantum, and the others
	turn    int

	wanted atomic.Int32 // how many are in the first line
}

// line is a queue of those that wait for a core. Each waits on a channel of its own.
type line []chan struct{}

// fairness is of how many cores that become free one goes to a run that has had its
// quantum, whoever else is waiting: it has a deadline too.
const fairness = 8

// take waits for a core.
func (c *cores) take(hadItsQuantum bool) {
	c.mu.Lock()
	if c.free > 0 {
		c.free--
		c.mu.Unlock()
		return
	}
	i := 0
	if hadItsQuantum {
		i = 1
	}
	ready := make(chan struct{})
	c.waiting[i] = append(c.waiting[i], ready)
	c.wanted.Store(int32(len(c.waiting[0])))
	c.mu.Unlock()
	<-ready
}

// give hands a core to the next run, or keeps it.
func (c *cores) give() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	first, second := &c.waiting[0], &c.waiting[1]
	if c.turn%fairness == 0 {
		first, second = second, first
	}
	switch {
	case len(*first) > 0:
		first.wakeOne()
	case len(*second) > 0:
		second.wakeOne()
	default:
		c.free++
	}
	c.wanted.Store(int32(len(c.waiting[0])))
}

func (l *line) wakeOne() {
	close((*l)[0])
	*l = (*l)[1:]
}
