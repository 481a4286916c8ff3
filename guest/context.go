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
	context.Context // Background
	deadline        time.Time

	once    sync.Once
	done    chan struct{}
	expired atomic.Bool // done is closed or about to be
}

func newContext(ev *Event) context.Context {
	ctx := context.Background()
	if ev.DeadlineMS == 0 {
		return ctx
	}
	return &eventContext{Context: ctx, deadline: time.UnixMilli(ev.DeadlineMS)}
}

func (c *eventContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *eventContext) Done() <-chan struct{} {
	c.once.Do(func() {
		c.done = make(chan struct{})
		time.AfterFunc(time.Until(c.deadline), func() {
			c.expired.Store(true)
			close(c.done)
		})
	})
	return c.done
}

// Err is never nil once Done is closed, even when the wall clock was set back in
// between.
func (c *eventContext) Err() error {
	if c.expired.Load() || !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
