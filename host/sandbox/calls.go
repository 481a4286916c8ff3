package sandbox

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"spore/abi"
	"spore/host/function"
)

// firstCall is the descriptor of a run's first outbound call. Lower numbers are
// left to the standard streams and to what libraries believe to be preopened.
const firstCall = 8

// callBuffer is how much of an answer is read ahead of the guest.
const callBuffer = 256 << 10

// What the calls of one run may hold in the host until each has really ended,
// which is a moment after the guest closed it.
const (
	maxPendingCalls = 2 * abi.MaxOpenCalls
	maxPendingBytes = 16 << 20 // of request frames; two of the largest fit
)

// callTable holds a run's calls, outbound and key-value, by descriptor. The guest's goroutine
// alone uses it; each call fills itself on a goroutine of its own.
type callTable struct {
	base uint32        // added to firstCall, see rehearseSample
	open []*call       // nil where closed
	wake chan struct{} // something became readable
	wait sync.WaitGroup

	pendingCalls, pendingBytes atomic.Int64
}

// admits reports whether there is room for a call with a frame of n bytes.
func (t *callTable) admits(n uint32) bool {
	return t.pendingCalls.Load() < maxPendingCalls && (n > abi.MaxHead+abi.MaxBody || t.pendingBytes.Load()+int64(n) <= maxPendingBytes)
}

// perform does what a call is for. What there is to read is head and then body,
// which may be nil.
type perform func(ctx context.Context) (head []byte, body io.ReadCloser)

// start begins a call, whose frame had n bytes, and returns its descriptor. The frame is
// the host's to keep, so it counts as memory of the sandboxes.
func (t *callTable) start(r *run, n int, do perform) int32 {
	i, budget := t.free(), &r.img.budget
	if i < 0 || !budget.take(uint64(n)) {
		return abi.Overloaded.Errno()
	}
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	ctx, cancel := context.WithDeadline(r.Context, r.img.engine.start.Add(time.Duration(r.end)))
	c := &call{wake: t.wake, cancel: cancel}
	c.space.L = &c.mu
	t.open[i] = c
	t.pendingCalls.Add(1)
	t.pendingBytes.Add(int64(n))
	t.wait.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				c.panicked(r.can, r.requestID(), p)
			}
			t.pendingCalls.Add(-1)
			t.pendingBytes.Add(int64(-n))
			budget.give(uint64(n))
		}()
		c.fill(do(ctx))
	})
	return int32(t.first()) + int32(i)
}

// first is the descriptor of the call at the table's beginning.
func (t *callTable) first() uint32 { return firstCall + t.base }

func (t *callTable) free() int {
	for i, c := range t.open {
		if c == nil {
			return i
		}
	}
	if len(t.open) == abi.MaxOpenCalls {
		return -1
	}
	t.open = append(t.open, nil)
	return len(t.open) - 1
}

// get returns the call behind a descriptor, or nil.
func (t *callTable) get(fd uint32) *call {
	if first := t.first(); fd >= first && uint64(fd-first) < uint64(len(t.open)) {
		return t.open[fd-first]
	}
	return nil
}

func (t *callTable) close(fd uint32) bool {
	c := t.get(fd)
	if c == nil {
		return false
	}
	t.open[fd-t.first()] = nil
	c.close()
	return true
}

// closeAll ends what the guest left open and waits for the calls' goroutines.
func (t *callTable) closeAll() {
	for i := range t.open {
		t.close(t.first() + uint32(i))
	}
	t.wait.Wait()
	t.open = nil
}

// call is one call as the guest reads it: a frame, perhaps a body, the end.
type call struct {
	wake   chan<- struct{}
	cancel context.CancelFunc

	mu     sync.Mutex
	space  sync.Cond // buffer was read from, or the call closed
	buffer []byte
	ended  bool
	last   errno // behind the buffer, once ended
	closed bool
}

// fill writes head and body to the buffer, as far ahead of the guest as
// callBuffer allows.
func (c *call) fill(head []byte, body io.ReadCloser) {
	defer c.cancel()
	c.append(head)
	if body == nil {
		c.end(success)
		return
	}
	defer body.Close()
	chunk := make([]byte, 32<<10)
	for {
		n, err := body.Read(chunk)
		if n > 0 && !c.append(chunk[:n]) {
			return
		}
		if err != nil {
			c.end(endErrno(err))
			c.drained()
			return
		}
	}
}

// panicked ends a call whose goroutine panicked: nothing that a guest asks for may
// end the host.
func (c *call) panicked(to *Capabilities, requestID string, p any) {
	to.log(requestID, abi.LogRecord{Level: 8, Message: fmt.Sprint("panic in a call: ", p), Attrs: abi.Pairs{{Name: "stack", Value: string(debug.Stack())}}})
	c.cancel()
	c.end(errIO)
}

// append adds p to the buffer, waiting for room. It reports whether anybody
// still wants it.
func (c *call) append(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.buffer) >= callBuffer && !c.closed {
		c.space.Wait()
	}
	c.buffer = append(c.buffer, p...)
	c.notify()
	return !c.closed
}

func (c *call) end(last errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.last = true, last
	c.notify()
}

// drained waits until the guest has read the answer or closed it: up to then the
// body stays open, because whoever counts open bodies bounds by them what is held here.
func (c *call) drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.buffer) > 0 && !c.closed {
		c.space.Wait()
	}
}

// endErrno is what the guest reads where a body ended with err: abi/README.md 8.3.
func endErrno(err error) errno {
	if err == io.EOF {
		return success
	}
	switch function.KindOf(err) {
	case abi.TooLarge:
		return errFBig
	case abi.Deadline:
		return errTimedOut
	}
	return errIO
}

func (c *call) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// readable reports whether a read would not have to wait.
func (c *call) readable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.buffer) > 0 || c.ended
}

// read moves bytes to p. A count of zero with errAgain means "not yet", with
// success the end.
func (c *call) read(p []byte) (int, errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(p, c.buffer)
	c.buffer = c.buffer[n:]
	c.space.Signal()
	switch {
	case n > 0 || len(p) == 0:
		return n, success
	case !c.ended:
		return 0, errAgain
	}
	return 0, c.last
}

func (c *call) close() {
	c.mu.Lock()
	c.closed = true
	c.space.Signal()
	c.mu.Unlock()
	c.cancel()
}
