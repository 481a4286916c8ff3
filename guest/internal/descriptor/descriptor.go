// Package descriptor reads what a host function answers on a descriptor.
package descriptor

import (
	"context"
	"io"
	"os"
	"time"

	"spore/abi"
)

// File is an open descriptor. Reads end with the context it was opened with.
type File struct {
	*os.File
	stop func() bool
}

// Open wraps a descriptor that a host function has returned. The caller closes it.
// The host reports it as a non-blocking stream, so NewFile gives it to Go's poller
// and a read parks this goroutine alone.
func Open(ctx context.Context, fd int32, name string) *File {
	f := &File{File: os.NewFile(uintptr(fd), name)}
	f.stop = context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	return f
}

// Close gives the descriptor back; the host ends the call if it still runs.
func (f *File) Close() error {
	f.stop()
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
