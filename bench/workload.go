package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"spore/abi"
	"spore/bench/alert"
	"spore/host/gobuild"
	"spore/host/sandbox"
)

// memoryMax and the collector settings that follow from it are the same for all
// variants in WebAssembly.
const memoryMax = 64 << 20

// workload is one of the two things measured.
type workload struct {
	name   string
	source string // of the module, in the source tree
	method string // of the request over HTTP
	body   []byte
	native func(body []byte) ([]byte, error) // what the module does, compiled for this machine
	batch  int                               // native calls a sample: a call can be shorter than the clock can tell
}

func workloads() []workload {
	return []workload{
		{"w1", "modules/hello", "GET", nil, hello, 200},
		{"w2", "bench/w2", "POST", []byte(alert.Sample), alert.Decide, 5},
	}
}

//go:noinline
func hello([]byte) ([]byte, error) { return []byte("Hello, world!"), nil }

// event is the request as the listener and the dispatcher make it: a guest has
// less to do for one without headers and deadlines.
func (w workload) event() abi.Event {
	deadline := time.Now().Add(time.Hour).UnixMilli()
	ev := abi.Event{
		RequestID: "00112233-4455-4677-8899-aabbccddeeff", Trigger: abi.TriggerHTTP, Function: "bench", Version: "1",
		DeadlineMS: deadline, ResponseDeadlineMS: deadline,
		Method: w.method, Path: path, ClientAddr: "127.0.0.1:50000",
		Headers: abi.Pairs{{Name: "host", Value: "127.0.0.1:50001"}},
		Body:    w.body, BodySize: uint32(len(w.body)),
	}
	if w.body != nil {
		ev.ContentType = "application/json"
		ev.Headers = append(ev.Headers, abi.Pair{Name: "content-type", Value: ev.ContentType}, abi.Pair{Name: "content-length", Value: strconv.Itoa(len(w.body))})
	}
	return ev
}

// settings are those of a function as functions.toml would have it: one with a body
// names its sample for the warm-up.
func (w workload) settings() sandbox.Settings {
	s := sandbox.Settings{Name: "bench", MemoryMax: memoryMax, InitTimeout: time.Minute}
	if w.body != nil {
		s.Warmup = []sandbox.Sample{{Name: "the workload's own event", Event: w.event()}}
	}
	return s
}

// findWorkload returns the workload of that name, which must exist.
func findWorkload(name string) workload {
	for _, w := range workloads() {
		if w.name == name {
			return w
		}
	}
	panic("bench: internal error: no workload " + name)
}

// build builds the module and returns its path.
func (w workload) build(ctx context.Context, root, dir string) (string, error) {
	wasm, err := gobuild.Build(ctx, filepath.Join(root, w.source), filepath.Join(dir, "built"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, w.name+".wasm")
	return path, os.WriteFile(path, wasm, 0o600)
}

// moduleRoot is the nearest directory upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside the spore source tree")
		}
		dir = up
	}
}
