package capability

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// body is the body of an answer: it ends in an error once more than limit
// bytes came, and gives the call's place back when it is closed.
type body struct {
	ctx   context.Context // of the call
	from  io.ReadCloser
	limit int64 // in bytes
	left  int64 // of limit
	err   error // sticky
	once  sync.Once
	end   func()
}

// Read is for one goroutine at a time.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	// One byte more than permitted is asked for, to tell a body that ends at the
	// limit from one that goes on.
	n, err := b.from.Read(p[:min(int64(len(p)), b.left+1)])
	switch {
	case int64(n) > b.left:
		n = int(b.left)
		b.err = tooLarge(b.limit)
	case err == io.EOF:
		b.err = io.EOF
	case err != nil:
		b.err = explain(b.ctx, fmt.Errorf("read answer: %w", err))
	}
	b.left -= int64(n)
	return n, b.err
}

func (b *body) Close() error {
	b.once.Do(func() {
		b.from.Close()
		b.end()
	})
	return nil
}
