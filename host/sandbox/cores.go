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
	waiting [lines]line
	turn    int

	wanted atomic.Int32 // how many stand in line for short runs
}

// What waits for a core, each in a line of its own, in the order of the lines.
const (
	short    = iota // a run that is not known to have had a quantum
	starting        // an instance to be made: fifty at once do not go before an event that has one
	long            // a run that has had its quantum
	lines
)

// line is a queue of those that wait for a core. Each waits on a channel of its own.
type line []chan struct{}

// fairness is of how many cores that become free one goes to the last line first,
// whoever else is waiting: a long run has a deadline too.
const fairness = 8

// take waits in a line for a core.
func (c *cores) take(in int) {
	c.mu.Lock()
	if c.free > 0 {
		c.free--
		c.mu.Unlock()
		return
	}
	ready := make(chan struct{})
	c.waiting[in] = append(c.waiting[in], ready)
	c.wanted.Store(int32(len(c.waiting[short])))
	c.mu.Unlock()
	<-ready
}

// give hands a core to the next one in line, or keeps it.
func (c *cores) give() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	if next := c.next(); next != nil {
		next.wakeOne()
		c.wanted.Store(int32(len(c.waiting[short])))
	} else {
		c.free++
	}
}

// next returns the line whose turn it is, or nil when nobody waits.
func (c *cores) next() *line {
	for i := range lines {
		if c.turn%fairness == 0 {
			i = lines - 1 - i
		}
		if len(c.waiting[i]) > 0 {
			return &c.waiting[i]
		}
	}
	return nil
}

func (l *line) wakeOne() {
	close((*l)[0])
	*l = (*l)[1:]
}
