package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

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
		return h.files.module(spec.Module, time.Now())
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
	file   fileState // from before it was read
	digest string
}

// fileState changes whenever a file does. Its time is that of the last change of the
// inode, which nobody can set: what unpacks archives gives files the time of their
// contents, and ext4 gives a new file the inode of the one just removed.
type fileState struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec
}

func stateOf(path string) (fileState, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return fileState{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileState{uint64(s.Dev), s.Ino, s.Size, s.Ctim}, nil
}

// young is the age up to which a file is not taken to be what it was by its time: two
// changes in a row can have the same.
const young = 2 * time.Second

// module returns the module in a file. One that has not changed since it was last read
// is not read again.
func (f *moduleFiles) module(path string, now time.Time) (*module, error) {
	file, err := stateOf(path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	known, ok := f.known[path]
	f.mu.Unlock()
	if ok && known.file == file {
		return &module{digest: known.digest, path: path}, nil
	}
	if file.size > sandbox.MaxModule {
		return nil, fmt.Errorf("%s has %d MiB; a module may have %d", path, file.size>>20, sandbox.MaxModule>>20)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &module{digest: sandbox.Digest(wasm), path: path, wasm: wasm}
	if now.Sub(time.Unix(file.changed.Unix())) > young {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.known == nil {
			f.known = map[string]knownModule{}
		}
		f.known[path] = knownModule{file, m.digest}
	}
	return m, nil
}
