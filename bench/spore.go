package main

import (
	"context"
	"errors"
	"time"

	"spore/abi"
	"spore/host/sandbox"
)

// memoryMax and the collector settings that follow from it are the same for all
// variants in WebAssembly.
const memoryMax = 64 << 20

// spore runs a module the way the host does, without the network around it.
type spore struct {
	image *sandbox.Image
	body  []byte
}

func newSpore(ctx context.Context, dir string, wasm, body []byte) (*spore, error) {
	engine, err := sandbox.Open(sandbox.Options{Directory: dir})
	if err != nil {
		return nil, err
	}
	image, err := engine.Prepare(ctx, wasm, sandbox.Settings{Name: "bench", MemoryMax: memoryMax, InitTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	return &spore{image, body}, nil
}

func (s *spore) close() {
	s.image.Close()
}

// serve answers one request in a fresh sandbox.
func (s *spore) serve(ctx context.Context) (guest time.Duration, err error) {
	sb, err := s.image.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer sb.Close()
	end := time.Now().Add(time.Minute)
	ev := abi.Event{RequestID: "bench", Function: "bench", Version: "1", Method: "POST", Path: "/", ContentType: "application/json", Body: s.body}
	stats, err := sb.Serve(ctx, &ev, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result) {})
	if err == nil && !stats.Answered {
		err = errors.New("no answer")
	}
	return stats.Duration - stats.Host, err
}
