package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

// compiled returns the code of m, whose digest is given. It is compiled where it is not
// there or not as it should be.
func (e *Engine) compiled(ctx context.Context, digest string, m *wasmbin.Module, opt wasmbin.Options) (*program, error) {
	if key, err := e.files.codeOf(digest); err == nil { // spares rewriting it
		if p, err := e.program(ctx, key); err == nil {
			return p, nil
		}
	}
	rewritten, err := m.Rewrite(opt)
	if err != nil {
		return nil, err
	}
	key := codeKey(rewritten.Wasm)
	p, err := e.program(ctx, key)
	if err != nil {
		p, err = e.compileOnce(ctx, key, rewritten)
	}
	if err == nil {
		_ = e.files.keepCodeOf(digest, key) // without it the key is found by rewriting the module again
	}
	return p, err
}

// compileOnce compiles a module unless somebody else has meanwhile. Few are compiled
// at the same time: each takes a processor, and up to maxCompileMemory.
func (e *Engine) compileOnce(ctx context.Context, key string, rewritten *wasmbin.Rewritten) (*program, error) {
	one, _ := e.compiles.LoadOrStore(key, make(chan struct{}, 1)) // nobody replaces code that another has just left and is opening
	for _, turn := range []chan struct{}{one.(chan struct{}), e.compiling} {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return nil, &function.Error{Kind: abi.NotReady, Op: "compile", Err: ctx.Err()}
		}
	}
	p, err := e.program(ctx, key)
	if err == nil {
		return p, nil
	}
	if err := e.compile(ctx, key, rewritten, errors.Is(err, fs.ErrNotExist)); err != nil {
		return nil, err
	}
	return e.program(ctx, key)
}

// compile leaves compiled code under key on disk, in place of what could not be
// used. If there was none, intact code that has appeared meanwhile stays: it is
// another host's, which may be opening it.
func (e *Engine) compile(ctx context.Context, key string, rewritten *wasmbin.Rewritten, wasMissing bool) error {
	work, err := os.MkdirTemp(e.files.code, ".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) // after a rename there is nothing to remove
	if err := e.compileInto(ctx, work, rewritten); err != nil {
		return err
	}
	if err := sealCode(work, key, rewritten.Skeleton); err != nil {
		return err
	}
	dir := filepath.Join(e.files.code, key)
	if os.Rename(work, dir) == nil {
		return nil
	}
	if _, entry, damaged := readCode(dir); damaged == nil {
		_ = entry.Close() // it was read only
		if wasMissing {
			return nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(work, dir)
}

// maxCompileTime is how long a compiling process may take by the wall's clock, ten times
// what it may use of processors: one that was stopped, or finds none, would hold its
// deploy for ever, and one of the maxCompiling places with it.
const maxCompileTime = 10 * maxCompileSeconds * time.Second

func (e *Engine) compileInto(ctx context.Context, dir string, r *wasmbin.Rewritten) error {
	if e.opt.Compiler == nil {
		return compileModule(ctx, dir, r.Wasm, r.Skeleton)
	}
	deploy := ctx
	ctx, cancel := context.WithTimeout(ctx, e.compileTime)
	defer cancel()
	input := binary.LittleEndian.AppendUint32(nil, uint32(len(r.Wasm)))
	cmd := exec.CommandContext(ctx, e.opt.Compiler[0], slices.Concat(e.opt.Compiler[1:], []string{dir})...)
	cmd.Stdin = io.MultiReader(bytes.NewReader(input), bytes.NewReader(r.Wasm), bytes.NewReader(r.Skeleton))
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	switch {
	case deploy.Err() != nil:
		return &function.Error{Kind: abi.NotReady, Op: "compile", Err: deploy.Err()}
	case ctx.Err() != nil:
		return &function.Error{Kind: abi.Overloaded, Op: "compile", Err: fmt.Errorf("not done after %v; the machine has no processor for it, or somebody has stopped it; deploy again", e.compileTime)}
	}
	return compileError(err, dir, cmd.ProcessState, said.String())
}

// compileError words what the compiling process died of, which was to leave code in dir.
// What is not the module's doing has a kind of its own, or is the disk's.
func compileError(err error, dir string, died *os.ProcessState, said string) error {
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if strings.Contains(said, full.Error()) {
			return &os.PathError{Op: "compile into", Path: dir, Err: full}
		}
	}
	switch {
	case strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"):
		return fmt.Errorf("compiling the module takes over %d MiB of memory", maxCompileMemory>>20)
	case died != nil && died.UserTime()+died.SystemTime() >= maxCompileSeconds/2*time.Second:
		return fmt.Errorf("compiling the module takes over %d s of processor time", maxCompileSeconds)
	case said == "":
		return &function.Error{Kind: abi.Internal, Op: "compile", Err: err}
	}
	return errors.New(said)
}

// maxCompileInput bounds what a compiling process reads: a rewritten module and its
// skeleton, of which each may be several times as long as the module was.
const maxCompileInput = 1 << 30

// CompileMain is the compiling process: it limits itself, reads what compile
// writes to standard input, and leaves the code in dir. Its error is one line.
func CompileMain(stdin io.Reader, dir string) error {
	if err := limitProcess(); err != nil {
		return err
	}
	debug.SetMemoryLimit(maxCompileMemory / 2)
	runtime.GOMAXPROCS(2) // the compiler works on one function after the other; threads take address space
	input, err := io.ReadAll(io.LimitReader(stdin, maxCompileInput))
	if err != nil {
		return err
	}
	if len(input) == maxCompileInput {
		return fmt.Errorf("the rewritten module is over %d MiB", maxCompileInput>>20)
	}
	if len(input) < 4 || uint64(binary.LittleEndian.Uint32(input)) > uint64(len(input)-4) {
		return errors.New("no module on standard input; this verb is spore's own")
	}
	n := binary.LittleEndian.Uint32(input)
	return compileModule(context.Background(), dir, input[4:4+n], input[4+n:])
}

// compileModule compiles a rewritten module and its skeleton and leaves in dir the
// module's code under the skeleton's name.
func compileModule(ctx context.Context, dir string, wasm, skeleton []byte) error {
	whole, err := os.MkdirTemp(dir, ".whole-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(whole)
	if err := compileTo(ctx, whole, wasm); err != nil {
		return err
	}
	if err := compileTo(ctx, dir, skeleton); err != nil {
		return err
	}
	from, err := entryPath(whole)
	if err != nil {
		return err
	}
	to, err := entryPath(dir)
	if err != nil {
		return err
	}
	return os.Rename(from, to)
}

// sealCode completes what compileModule left in dir, so that readCode finds it
// where it is the code under key.
func sealCode(dir, key string, skeleton []byte) error {
	digest, err := digestCode(dir, key, skeleton)
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if err := writeFile(filepath.Join(dir, skeletonFile), skeleton); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, digestFile), []byte(digest))
}

// compileTo compiles a module into the wazero cache in dir.
func compileTo(ctx context.Context, dir string, wasm []byte) error {
	cache, err := newCache(dir)
	if err != nil {
		return err
	}
	defer cache.Close(ctx)
	rt := newRuntime(ctx, cache)
	defer rt.Close(ctx)
	_, err = rt.CompileModule(ctx, wasm)
	return err
}
