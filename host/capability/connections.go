package capability

import (
	"net"
	"sync/atomic"
)

// connections counts those of all functions. A pool keeps a few for 30 s, however many
// pools there are; when there are too many in all, those that no call uses are closed.
type connections struct {
	open  atomic.Int64
	most  int64
	sweep func() // closes those that no call uses
}

// count counts the connection that dial makes from now on, until it is closed.
func (c *connections) count(dial func() (net.Conn, error)) (net.Conn, error) {
	if c.open.Add(1) > c.most {
		c.sweep()
	}
	conn, err := dial()
	if err != nil {
		c.open.Add(-1)
		return nil, err
	}
	return &counted{Conn: conn, by: c}, nil
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	by     *connections
	closed atomic.Bool
}

func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.by.open.Add(-1)
	}
	return c.Conn.Close()
}
