// Package descriptor reads what a host function answers on a descriptor.
package descriptor

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"spore/abi"
)

// File is an open descriptor. Reads end with the context it was opened with.
type File struct {
	*os.File
	ctx  context.Context
	stop func() bool
	look *time.Timer   // ends a read that waits, so that it begins again
	wait time.Duration // until then
}

// Times after which a read that waits looks for itself whether there is something.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// Open wraps a descriptor that a host function has returned. The caller closes it.
// The host reports it as a non-blocking stream, so NewFile gives it to Go's poller
// and a read parks this goroutine alone.
func Open(ctx context.Context, fd int32, name string) *File {
	f := &File{File: os.NewFile(uintptr(fd), name), ctx: ctx, wait: firstLook}
	f.stop = context.AfterFunc(ctx, f.interrupt)
	f.look = time.AfterFunc(f.wait, f.interrupt)
	return f
}

// interrupt ends reads at once, those to come too.
func (f *File) interrupt() { f.SetReadDeadline(time.Unix(1, 0)) }

// Read waits until there is something to read. Go asks its poller only when no goroutine
// is ready to run, and a sandbox has no second thread that would. A program that has
// called signal.Notify has a goroutine that is always ready (notetsleepg of
// runtime/lock_wasip1.go): its reads would never end. Timers fire there too, so a read
// is made to look itself, after twice as long each time.
func (f *File) Read(p []byte) (int, error) {
	for {
		n, err := f.File.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		f.SetReadDeadline(time.Time{})
		if f.ctx.Err() != nil { // asked last: the interruption that was taken back may be the context's
			f.interrupt()
			return n, err
		}
		f.wait = min(2*f.wait, lastLook)
		f.look.Reset(f.wait)
	}
}

// Close gives the descriptor back; the host ends the call if it still runs.
func (f *File) Close() error {
	f.stop()
	f.look.Stop()
	return f.File.Close()
}

// ReadFrame reads one frame of at most limit bytes from r. A frame that says it is
// longer is abi.ErrTooLarge.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	frame := make([]byte, abi.HeaderSize)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	size := abi.FrameLength(frame)
	if size < abi.HeaderSize || size > limit {
		return nil, abi.ErrTooLarge
	}
	frame = append(frame, make([]byte, size-abi.HeaderSize)...)
	_, err := io.ReadFull(r, frame[abi.HeaderSize:])
	return frame, err
}
