package telemetry

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
)

// maxQueued is how many lines may wait for a slow output. At a thousand lines a
// second that is four seconds; what comes on top is dropped and counted, because
// a request must never wait for a terminal or a disk.
const maxQueued = 4096

// Writer queues whole log lines and writes them in the background. Write never
// waits. Run must run for anything to come out.
type Writer struct {
	buf     *bufio.Writer
	notice  *slog.Logger // writes to buf itself
	lines   chan []byte
	dropped atomic.Int64
}

// NewLogger returns a logger whose lines go to out through a Writer. handler
// makes the slog.Handler that words them.
func NewLogger(out io.Writer, handler func(io.Writer) slog.Handler) (*slog.Logger, *Writer) {
	buf := bufio.NewWriterSize(out, 64<<10)
	w := &Writer{buf: buf, notice: slog.New(handler(buf)), lines: make(chan []byte, maxQueued)}
	return slog.New(handler(w)), w
}

// Write queues a copy of line, or counts it as dropped. It never fails.
func (w *Writer) Write(line []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Run writes until ctx ends, then writes what is queued and returns nil.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case line := <-w.lines:
			w.writeQueued(line)
		case <-ctx.Done():
			w.writeQueued(nil)
			return nil
		}
	}
}

// writeQueued writes line and everything queued behind it. Errors of the output
// are not reported: there is nowhere left to report them to.
func (w *Writer) writeQueued(line []byte) {
	for more := true; more; {
		_, _ = w.buf.Write(line)
		select {
		case line = <-w.lines:
		default:
			more = false
		}
	}
	if n := w.dropped.Swap(0); n > 0 {
		w.notice.Warn("log lines dropped: the output is too slow", "count", n)
	}
	_ = w.buf.Flush()
}
