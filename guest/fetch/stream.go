package fetch

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"spore/abi"
	"spore/guest"
	"spore/guest/internal/descriptor"
	"spore/guest/internal/sys"
)

// maxHeadFrame bounds what is allocated for the head of an answer.
const maxHeadFrame = abi.HeaderSize + abi.MaxHead

// Stream is an answer whose body is still arriving. The caller closes Body;
// reading it fails when the context given to Start ends, the upstream breaks off
// or the body is over the host's limit, and guest.KindOf tells which. Header
// names are in lower case.
type Stream struct {
	Status  int
	Headers guest.Pairs
	Body    io.ReadCloser
}

// Start makes the call and returns as soon as the head of the answer is there.
// ctx bounds the reading of the body too. Errors are those of Do.
func Start(ctx context.Context, req *Request) (*Stream, error) {
	return open(ctx, req, sys.HTTPStart)
}

func open(ctx context.Context, req *Request, start func(frame []byte) int32) (*Stream, error) {
	c := &call{ctx: ctx, name: describe(req)}
	if ctx.Err() != nil {
		return nil, c.ended()
	}
	frame, err := encode(req)
	if err != nil {
		return nil, err
	}
	fd := start(frame)
	if fd < 0 {
		kind := abi.KindOfErrno(fd)
		return nil, &sys.Error{Op: c.name, Kind: kind, Detail: sys.MessageDetail(kind)}
	}
	c.file = descriptor.Open(ctx, fd, "http")
	head, err := c.head()
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Stream{Status: int(head.Status), Headers: head.Headers, Body: c}, nil
}

// call is one open descriptor, and the body of its answer once the head was read.
type call struct {
	ctx  context.Context
	name string
	file *descriptor.File
}

// head reads the frame that precedes the body.
func (c *call) head() (head abi.HTTPHead, err error) {
	frame, err := descriptor.ReadFrame(c, maxHeadFrame)
	if err != nil {
		return head, c.broken(err)
	}
	if err := head.Decode(frame); err != nil {
		return head, c.broken(err)
	}
	if head.Kind != abi.None {
		return head, &sys.Error{Op: c.name, Kind: head.Kind, Detail: head.Message}
	}
	return head, nil
}

// Read implements io.Reader.
func (c *call) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case errors.Is(err, os.ErrClosed):
		return n, &sys.Error{Op: c.name, Kind: abi.Invalid, Detail: "read of a closed body"}
	case c.ctx.Err() != nil:
		return n, c.ended()
	}
	kind, detail := reason(err)
	return n, &sys.Error{Op: c.name, Kind: kind, Detail: detail, Cause: err}
}

// reason is what is behind the errno with which a read of the answer failed:
// abi/README.md 8.3.
func reason(err error) (kind abi.Kind, detail string) {
	switch {
	case errors.Is(err, syscall.EFBIG):
		return abi.TooLarge, "the answer's body is over the host's limit"
	case errors.Is(err, syscall.ETIMEDOUT):
		return abi.Deadline, "no complete answer in the time given"
	}
	return abi.Unavailable, "the answer broke off"
}

// Close gives the descriptor back; the host ends the call if it still runs.
func (c *call) Close() error { return c.file.Close() }

// ended is the error of a call whose context ended.
func (c *call) ended() error { return sys.Ended(c.name, c.ctx.Err()) }

// broken is the error of a head that cannot be read. A failed read was turned
// into an Error by Read already.
func (c *call) broken(err error) error {
	if _, ok := err.(*sys.Error); ok {
		return err
	}
	return &sys.Error{Op: c.name, Kind: abi.Internal, Detail: "head of the answer: " + err.Error(), Cause: err}
}
