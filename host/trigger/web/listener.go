package web

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// acceptPause is how long accepting rests when the machine has run out of
// something. New connections wait in the kernel meanwhile.
const acceptPause = 50 * time.Millisecond

// patientListener waits where others give up: fasthttp ends its server when
// accept fails for want of a descriptor, and a connection that ends frees one.
type patientListener struct{ net.Listener }

// Accept returns the next connection, or an error that will not pass.
func (l patientListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			return &conn{Conn: c}, nil
		case !passes(err):
			return nil, err
		}
		time.Sleep(acceptPause)
	}
}

func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lingerTime is how long a refused client may go on sending.
const lingerTime = time.Second

// conn can be closed without spoiling the last answer on it: closing a TCP
// connection with bytes left to read resets it, and a client that still sends
// its body never sees that it was refused.
type conn struct {
	net.Conn
	linger atomic.Bool // the next Close reads and drops what still comes
}

// Close closes the connection, at once or when the client has stopped sending.
// A second Close cuts the first one's wait short.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Swap(false) {
		_ = half.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	return c.Conn.Close()
}

// connections knows the open ones, so that they can be closed when the drain
// is over: fasthttp's shutdown leaves them alone.
type connections struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed chan struct{} // closed when closeAll was called and the last one is gone
}

func (c *connections) changed(conn net.Conn, state fasthttp.ConnState) {
	if state != fasthttp.StateNew && state != fasthttp.StateClosed {
		return // those are every request's; keep locks out of its way
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == fasthttp.StateNew {
		c.open[conn] = struct{}{}
		return
	}
	delete(c.open, conn)
	if c.closed != nil && len(c.open) == 0 {
		close(c.closed)
	}
}

// closeAll closes every connection and returns a channel that is closed when
// they are all gone. It is called once, after the last connection was accepted.
func (c *connections) closeAll() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = make(chan struct{})
	if len(c.open) == 0 {
		close(c.closed)
	}
	for conn := range c.open {
		_ = conn.Close()
	}
	return c.closed
}
