package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxQueued is how many bytes of lines may wait for a slow output: some four
	// thousand lines. What comes on top is dropped and counted, because a request
	// must never wait for a terminal or a disk.
	maxQueued = 1 << 20
	// gather is how long the first line waits for others to be written with it. A
	// busy host then makes two hundred writes a second instead of one a request,
	// which took 3 us each, and nobody sees the difference on a terminal.
	gather = 5 * time.Millisecond
)

// Writer queues whole log lines and writes them in the background. Write never
// waits. Run must run for anything to come out.
type Writer struct {
	out    io.Writer
	notice *slog.Logger // writes to out itself
	wake   chan struct{}

	mu      sync.Mutex
	queued  []byte
	dropped int
}

// NewLogger returns a logger whose lines go to out through a Writer. handler
// makes the slog.Handler that words them.
func NewLogger(out io.Writer, handler func(io.Writer) slog.Handler) (*slog.Logger, *Writer) {
	w := &Writer{out: out, notice: slog.New(handler(out)), wake: make(chan struct{}, 1)}
	return slog.New(handler(w)), w
}

// Write queues a copy of line, or counts it as dropped. It never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queued)+len(line) > maxQueued {
		w.dropped++
		return len(line), nil
	}
	w.queued = append(w.queued, line...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// Run writes until ctx ends, then writes what is queued and returns nil.
func (w *Writer) Run(ctx context.Context) error {
	var written []byte // room for the next lines
	pause := time.NewTimer(0)
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
		pause.Reset(gather)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		ended := ctx.Err() != nil // before the last look at what is queued
		written = w.flush(written[:0])
		if ended {
			return nil
		}
	}
}

// flush writes what is queued and returns its memory. Errors of the output are not
// reported: there is nowhere left to report them to.
func (w *Writer) flush(room []byte) []byte {
	w.mu.Lock()
	lines, dropped := w.queued, w.dropped
	w.queued, w.dropped = room, 0
	w.mu.Unlock()
	if len(lines) > 0 {
		_, _ = w.out.Write(lines)
	}
	if dropped > 0 {
		w.notice.Warn("log lines dropped: the output is too slow", "count", dropped)
	}
	return lines
}
