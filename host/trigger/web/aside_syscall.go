package web

import (
	"io"
	"os"
	"syscall"
)

// Long bodies are moved as chores. The kernel copies them for milliseconds, and neither
// it nor Go would let anybody else have the processor; Options.Chore sees to it that one
// is left. A chore must not wait for a client, so it makes the system call itself, on
// a descriptor that does not block, and the waiting is done outside of it.
//
// Safety: syscall.RawConn keeps the descriptor open and the deadline in force while it
// calls back, which is what its methods are for.

// longPiece is how many bytes one chore moves. A body that is shorter has no chores, unless it is refused.
const longPiece = 64 << 10

// readAside is Read as a chore.
func (c *conn) readAside(p []byte) (n int, err error) {
	raw := c.raw()
	if raw == nil {
		return c.Conn.Read(p)
	}
	waited := raw.Read(func(fd uintptr) bool {
		c.chore(func() { n, err = uninterrupted(syscall.Read, fd, p) })
		return err != syscall.EAGAIN
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// aside is a conn that is read by chores alone.
type aside struct{ *conn }

func (a aside) Read(p []byte) (int, error) { return a.readAside(p) }

// writeAside is Write for a p of at least longPiece bytes.
func (c *conn) writeAside(p []byte) (written int, err error) {
	raw := c.raw()
	if raw == nil {
		return c.Conn.Write(p)
	}
	for written < len(p) {
		var n int
		piece := p[written:min(len(p), written+longPiece)]
		waited := raw.Write(func(fd uintptr) bool {
			c.chore(func() { n, err = uninterrupted(syscall.Write, fd, piece) })
			return err != syscall.EAGAIN
		})
		switch {
		case waited != nil:
			return written, waited
		case err != nil:
			return written, os.NewSyscallError("write", err)
		}
		written += n
	}
	return written, nil
}

// raw is the connection's descriptor, or nil when it has none to give.
func (c *conn) raw() syscall.RawConn {
	if has, ok := c.Conn.(syscall.Conn); ok {
		if raw, err := has.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// uninterrupted makes a call that a signal may have to be made again for.
func uninterrupted(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
