package guest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// eventContext is the context of a handler: it ends at the event's deadline.
// Its timer starts only when somebody asks for Done, because most handlers
// never do and a timer costs more than the rest of a small request.
type eventContext struct {
	deadlineMS int64

	once    sync.Once
	done    chan struct{}
	timer   *time.Timer
	expired atomic.Bool // done is closed or about to be
}

// newContext returns the context of ev, made in c.
func newContext(ev *Event, c *eventContext) context.Context {
	if ev.DeadlineMS == 0 {
		return context.Background()
	}
	*c = eventContext{deadlineMS: ev.DeadlineMS}
	return c
}

func (c *eventContext) Deadline() (time.Time, bool) { return time.UnixMilli(c.deadlineMS), true }

func (c *eventContext) Done() <-chan struct{} {
	c.once.Do(func() {
		c.done = make(chan struct{})
		deadline, _ := c.Deadline()
		c.timer = time.AfterFunc(time.Until(deadline), func() {
			c.expired.Store(true)
			close(c.done)
		})
	})
	return c.done
}

// Err is never nil once Done is closed, even when the wall clock was set back in
// between.
func (c *eventContext) Err() error {
	if c.expired.Load() || time.Now().UnixMilli() >= c.deadlineMS {
		return context.DeadlineExceeded
	}
	return nil
}

func (c *eventContext) Value(any) any { return nil }

// stop keeps the timer of an event that is over out of the snapshot, where it
// would fire in every later event.
func (c *eventContext) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
