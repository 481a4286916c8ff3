package web

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxIdleWorkers is how many goroutines wait for work. A waiting one costs its
// stack, a new one has to grow it.
const maxIdleWorkers = 256

// workers runs calls, each on a goroutine of its own. Goroutines are kept for
// the next call; stop ends them and waits.
type workers struct {
	calls chan *call // without a buffer: a send succeeds when somebody waits
	quit  chan struct{}
	idle  atomic.Int32
	all   sync.WaitGroup

	mu      sync.Mutex
	stopped bool
}

func newWorkers() *workers {
	return &workers{calls: make(chan *call), quit: make(chan struct{})}
}

// do has c run and returns at once. It reports false, and c does not run, after
// stop.
func (w *workers) do(c *call) bool {
	select {
	case w.calls <- c:
		return true
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.all.Go(func() { w.work(c) })
	return true
}

func (w *workers) work(c *call) {
	for {
		c.run()
		if w.idle.Add(1) > maxIdleWorkers {
			w.idle.Add(-1)
			return
		}
		select {
		case c = <-w.calls:
			w.idle.Add(-1)
		case <-w.quit:
			return
		}
	}
}

// stop waits until every call has ended and all goroutines are gone, or ctx
// ends, and reports which. It may be called again to go on waiting.
func (w *workers) stop(ctx context.Context) bool {
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.quit)
	}
	w.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		w.all.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return true
	case <-ctx.Done():
		return false
	}
}
