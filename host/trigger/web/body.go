package web

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"spore/abi"
)

// Request bodies are read here and not by fasthttp, which allocates all of a
// Content-Length at once: a client would get 6 MiB for a promise. Ours grow with
// what has come, within a budget for all connections, and only when the route
// is known, so that a request nobody will answer is not read.

const (
	firstBody = 2 << 10  // a body's first buffer: a Slack command takes about 1 KiB
	keptBody  = 64 << 10 // the longest buffer that is kept for the next body; at most function.LongBody
	growth    = 4        // how many times longer the next buffer is: with 2 a body of 6 MiB is copied 1.3 times, with 4 half of it
)

var errBodyBudget = errors.New("all memory for request bodies is in use")

// bodies hands out buffers within a budget.
type bodies struct {
	left  atomic.Int64 // bytes that may still be reserved
	pool  sync.Pool
	chore func(work func()) // Options.Chore
}

func newBodies(budget int64, chore func(work func())) *bodies {
	b := &bodies{pool: sync.Pool{New: func() any { return new(body) }}, chore: chore}
	b.left.Store(budget)
	return b
}

// reserve takes n bytes out of the budget, or none.
func (b *bodies) reserve(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

// body is a request's body. It belongs to the connection's goroutine, which
// gives it back to bodies after the answer.
type body struct {
	data     []byte
	reserved int // of the budget
}

// get returns an empty body, which has nothing reserved.
func (b *bodies) get() *body { return b.pool.Get().(*body) }

// put takes a body back.
func (b *bodies) put(d *body) {
	b.left.Add(int64(d.reserved))
	d.reserved = 0
	d.data = d.data[:0]
	if cap(d.data) > keptBody {
		d.data = nil
	}
	b.pool.Put(d)
}

// read fills d with all of r, which is size bytes long, or of unknown length if
// size is negative. More than limit bytes are an error.
func (b *bodies) read(d *body, r io.Reader, size, limit int) error {
	if size > limit {
		return fasthttp.ErrBodyTooLarge
	}
	longest := limit + 1 // one more shows that there is too much
	if size >= 0 {
		longest = size
	}
	if !b.reserve(cap(d.data)) {
		return errBodyBudget
	}
	d.reserved = cap(d.data)
	for {
		if len(d.data) == cap(d.data) {
			if err := b.grow(d, longest); err != nil {
				return err
			}
		}
		room := min(cap(d.data)-len(d.data), longPiece)
		n, err := r.Read(d.data[len(d.data):][:room])
		d.data = d.data[:len(d.data)+n]
		switch {
		case len(d.data) > limit:
			return fasthttp.ErrBodyTooLarge
		case err == io.EOF: // not the connection's: that is unexpected in a body
			return nil
		case err != nil:
			return err
		}
	}
}

// grow makes d's buffer larger, if the budget has room for both the old and the new.
func (b *bodies) grow(d *body, longest int) error {
	size := max(firstBody, min(growth*cap(d.data), longest))
	if !b.reserve(size) {
		return errBodyBudget
	}
	move := func() {
		data := make([]byte, len(d.data), size)
		copy(data, d.data)
		d.data = data
	}
	if size > longPiece {
		b.chore(move)
	} else {
		move()
	}
	b.left.Add(int64(d.reserved))
	d.reserved = size
	return nil
}

// readBody fills d with the request's body, or returns why not. The connection
// has to be closed then.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, d *body, r *route) *refusal {
	stream := ctx.Request.BodyStream()
	if stream == nil {
		return nil
	}
	limit, long := bodyLimit(r)
	c := ctx.Conn().(*conn)
	c.beginBody()
	err := s.bodies.read(d, stream, ctx.Request.Header.ContentLength(), limit)
	c.inRequest = false
	switch {
	case err == nil:
		c.linger.Store(false)
		return nil
	case errors.Is(err, errBodyBudget):
		return &noBodyMemory
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return long
	case c.late:
		return &slowRequest
	}
	return &malformed
}

// bodyLimit returns how long a body of the route may be, and the refusal of a longer one.
func bodyLimit(r *route) (limit int, long *refusal) {
	if r.SlackSecret != "" {
		return slackMaxBody, &longSlackBody
	}
	return abi.MaxBody, &longBody
}

// dontWaitForLongBodies has a request with a body over the limit handled at
// once. fasthttp reads the first byte of a body of known length before it calls
// its handler, but none of a chunked one. The gate refuses the request by that
// sign, and its connection is closed.
func dontWaitForLongBodies(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.ContentLength() > abi.MaxBody {
		h.SetContentLength(-1)
	}
	return fasthttp.RequestConfig{}
}
