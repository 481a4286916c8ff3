package main

import (
	"context"
	"errors"
	"time"

	"spore/abi"
	"spore/host/sandbox"
)

// spore runs a module the way the host does, without dispatcher, logs and network.
type spore struct {
	image *sandbox.Image
	event abi.Event // every request's, as the listener uses one again
	end   time.Time // the deadline of every request, which is the dispatcher's to set
}

func newSpore(ctx context.Context, opt sandbox.Options, wasm []byte, w workload) (*spore, error) {
	engine, err := sandbox.Open(opt)
	if err != nil {
		return nil, err
	}
	image, err := engine.Prepare(ctx, wasm, w.settings())
	if err != nil {
		return nil, err
	}
	return &spore{image, w.event(), time.Now().Add(time.Hour)}, nil
}

func (s *spore) close() error {
	s.image.Close()
	return nil
}

// serve answers one request, from asking for a sandbox to having it ready for the
// next. guest is the time in WebAssembly outside host functions.
func (s *spore) serve(ctx context.Context) (guest time.Duration, err error) {
	sb, err := s.image.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer sb.Close()
	stats, err := sb.Serve(ctx, &s.event, sandbox.Deadlines{Response: s.end, End: s.end}, func(*abi.Result, bool) {})
	if err == nil && !stats.Answered {
		err = errors.New("no answer")
	}
	return stats.Duration - stats.Host, err
}
