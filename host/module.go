package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"spore/host/function"
	"spore/host/gobuild"
	"spore/host/sandbox"
)

// module is the code of a function: its digest, which is all that a prepared function
// needs, and its bytes.
type module struct {
	digest string
	path   string // of its file; "" when it was built
	wasm   []byte // nil while nobody needed to read the file
}

// bytes returns the module itself.
func (m *module) bytes() ([]byte, error) {
	if m.wasm != nil {
		return m.wasm, nil
	}
	wasm, err := os.ReadFile(m.path)
	if err == nil && sandbox.Digest(wasm) != m.digest {
		err = fmt.Errorf("%s changed while it was deployed; deploy again", m.path)
	}
	return wasm, err
}

// module returns the code of spec, building it when it is given as source.
func (h *host) module(ctx context.Context, spec *function.Spec) (*module, error) {
	if spec.Module != "" {
		return h.files.module(spec.Module)
	}
	start := time.Now()
	wasm, err := gobuild.Build(ctx, spec.Source, filepath.Join(h.derived, "built"))
	if err != nil {
		return nil, err
	}
	if err := sandbox.Check(wasm); err != nil {
		return nil, err
	}
	if took := time.Since(start); took > time.Second {
		h.log.Info("built", "function", spec.Name, "took", took.Round(time.Millisecond).String(), "bytes", len(wasm))
	}
	return &module{digest: sandbox.Digest(wasm), wasm: wasm}, nil
}

// moduleFiles knows the digests of modules that were read before, by path: reading one
// takes milliseconds, and ten thousand functions may have the same. The zero value knows
// none. It is safe for concurrent use.
type moduleFiles struct {
	mu    sync.Mutex
	known map[string]knownModule
}

type knownModule struct {
	info   os.FileInfo // from before it was read
	digest string
}

// young is the age up to which a file is not taken to be what it was by its time: two
// changes in a row can have the same.
const young = 2 * time.Second

// module returns the module in a file. One that has not changed since it was last read,
// by its identity, size and time, is not read again.
func (f *moduleFiles) module(path string) (*module, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	known, ok := f.known[path]
	f.mu.Unlock()
	if ok && os.SameFile(known.info, info) && known.info.Size() == info.Size() && known.info.ModTime().Equal(info.ModTime()) {
		return &module{digest: known.digest, path: path}, nil
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &module{digest: sandbox.Digest(wasm), path: path, wasm: wasm}
	if time.Since(info.ModTime()) > young {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.known == nil {
			f.known = map[string]knownModule{}
		}
		f.known[path] = knownModule{info, m.digest}
	}
	return m, nil
}
