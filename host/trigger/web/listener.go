package web

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
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
type patientListener struct {
	net.Listener
	chore func(work func())
}

// Accept returns the next connection, or an error that will not pass.
func (l patientListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			return &conn{Conn: c, chore: l.chore}, nil
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
// its body never sees that it was refused. And it can be closed between two
// requests, never within one.
type conn struct {
	net.Conn
	chore     func(work func()) // Options.Chore
	linger    atomic.Bool       // the next Close reads and drops what still comes
	phase     atomic.Int32
	inRequest bool   // its goroutine reads a request's body for the function
	bodyBytes int    // of that body that it has read
	late      bool   // the body did not come in time, which fasthttp does not always say
	peer      string // address and port of the client, once somebody has asked
}

// peerAddr is RemoteAddr as text, which is the same for all requests.
func (c *conn) peerAddr() string {
	if c.peer == "" {
		c.peer = c.RemoteAddr().String()
	}
	return c.peer
}

// The phases of a connection.
const (
	busy    = iota // its goroutine has something to do
	waiting        // its goroutine waits for a request, or for the rest of a header
	ending         // it gets to the end of its request, if it has one, and reads no other
)

// beginBody says that what is read belongs to a body that is wanted.
func (c *conn) beginBody() { c.inRequest, c.bodyBytes, c.late = true, 0, false }

// Read waits for bytes. Those of a header do not come any more after end;
// fasthttp has sent all answers when it reads.
func (c *conn) Read(p []byte) (int, error) {
	if c.inRequest {
		read := c.Conn.Read
		if max(len(p), c.bodyBytes) >= longPiece { // a client may cut a long body into short chunks
			read = c.readAside
		}
		n, err := read(p)
		c.bodyBytes += n
		c.late = errors.Is(err, os.ErrDeadlineExceeded)
		if err == io.EOF { // fasthttp takes it for the end of a chunked body
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	if !c.phase.CompareAndSwap(busy, waiting) {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	if !c.phase.CompareAndSwap(waiting, busy) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write writes all of p.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) < longPiece {
		return c.Conn.Write(p)
	}
	return c.writeAside(p)
}

// end closes the connection as soon as it has no request under way.
func (c *conn) end() {
	if c.phase.Swap(ending) == waiting {
		_ = c.Conn.Close()
	}
}

// Close closes the connection, at once or when the client has stopped sending.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Swap(false) {
		_ = half.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, aside{c})
	}
	return c.Conn.Close()
}

// connections knows the open ones, so that they can be closed when the server
// ends: fasthttp's shutdown leaves most of them alone.
type connections struct {
	mu       sync.Mutex
	open     map[*conn]struct{}
	draining bool
	closed   chan struct{} // closed when closeAll was called and the last one is gone
}

func (c *connections) changed(nc net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		c.add(nc.(*conn))
	case fasthttp.StateIdle: // every request's; keep locks out of its way
		nc.(*conn).linger.Store(false)
	case fasthttp.StateClosed:
		c.remove(nc.(*conn))
	}
}

func (c *connections) add(conn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = struct{}{}
	if c.draining {
		conn.end()
	}
}

func (c *connections) remove(conn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
	if c.closed != nil && len(c.open) == 0 {
		close(c.closed)
	}
}

// drain ends connections, those to come included: at once when they have no
// request under way, otherwise after it.
func (c *connections) drain() {
	c.mu.Lock()
	c.draining = true
	open := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()
	for _, conn := range open {
		conn.end()
	}
}

// closeAll closes every connection, without waiting for what a client still
// sends, and returns a channel that is closed when they are all gone. It is
// called once, after the last connection was accepted.
func (c *connections) closeAll() <-chan struct{} {
	c.mu.Lock()
	c.closed = make(chan struct{})
	if len(c.open) == 0 {
		close(c.closed)
	}
	open := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()
	for _, conn := range open {
		_ = conn.Conn.Close()
	}
	return c.closed
}
