package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
)

// program is a module's compiled code in memory. All images of one module share
// it; the last one to let go of it frees it, with the engine and the runtime it
// lives in.
type program struct {
	key      string
	users    int // guarded by Engine.mu
	once     sync.Once
	err      error // of opening it
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// Compiled code on disk is a directory with three things in it:
//
//	skeleton      the rewritten module with empty function bodies
//	wazero-…/     wazero's compile cache with one entry: the code of the whole module,
//	              under the name that wazero looks for when it is given the skeleton
//	digest        of both, and of the directory's name
//
// wazero decodes and validates a module before it looks for its code. With the
// bodies that was most of 76-174 ms; they are of no use to it once the code is there.
// The entry stands under the skeleton's name because compileModule put it there.
const (
	skeletonFile = "skeleton"
	digestFile   = "digest"
)

// codeVersion goes up when the rewriter or this layout changes what is compiled.
const codeVersion = "spore code 12"

// codeBase is what compiled code depends on beside its module. The processor's
// features are wazero's to check, which program.open sees.
func codeBase() string {
	return fmt.Sprintf("%s\n%s\n%s/%s\n", codeVersion, WazeroVersion(), runtime.GOOS, runtime.GOARCH)
}

// codeKey names the compiled code of a rewritten module. Modules that differ in
// their data alone are the same when rewritten, and share it.
func codeKey(rewritten []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, codeBase())
	_, _ = h.Write(rewritten)
	return hex.EncodeToString(h.Sum(nil))
}

// WazeroVersion is the version of the engine that this binary was built with.
func WazeroVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/tetratelabs/wazero" {
			return dep.Version
		}
	}
	return "unknown"
}

// program returns the code under key, from memory or from disk. The caller gives it
// back with releaseProgram.
func (e *Engine) program(ctx context.Context, key string) (*program, error) {
	e.mu.Lock()
	p := e.programs[key]
	if p == nil {
		p = &program{key: key}
		e.programs[key] = p
	}
	p.users++
	e.mu.Unlock()
	p.once.Do(func() { p.err = p.open(ctx, filepath.Join(e.files.code, key)) })
	if p.err != nil {
		e.releaseProgram(p)
		return nil, p.err
	}
	return p, nil
}

func (e *Engine) releaseProgram(p *program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p.users--
	if (p.users == 0 || p.err != nil) && e.programs[p.key] == p {
		delete(e.programs, p.key) // the next one opens it anew
	}
	if p.users == 0 {
		p.close()
	}
}

// errOtherMachine says that wazero did not take the code: it was made for a
// processor with other features.
var errOtherMachine = errors.New("the compiled code is for another processor")

// open loads the code in dir. The skeleton must never be compiled itself, so the
// entry has to be the same file before and after: wazero puts a new one in its place
// when it compiles.
func (p *program) open(ctx context.Context, dir string) error {
	skeleton, entry, err := readCode(dir)
	if err != nil {
		return err
	}
	defer entry.Close() // while it is open, no other file can have its identity
	if p.cache, err = newCache(dir); err != nil {
		return err
	}
	p.runtime = newRuntime(ctx, p.cache)
	if err := instantiateHostModules(ctx, p.runtime); err != nil {
		return err
	}
	if p.compiled, err = p.runtime.CompileModule(ctx, skeleton); err != nil {
		return err
	}
	return sameEntry(dir, entry)
}

// newCache opens wazero's cache in dir.
func newCache(dir string) (wazero.CompilationCache, error) {
	versionNoted.Do(func() { _, _ = wazero.NewCompilationCacheWithDir(dir) })
	return wazero.NewCompilationCacheWithDir(dir)
}

// versionNoted keeps the first cache apart from all others: wazero 1.12 then notes its own
// version in a variable that nothing guards (internal/version), and all later ones read it.
// The race detector sees it where a new process deploys many functions.
var versionNoted sync.Once

// sameEntry reports an error when the entry in dir is not the file that is open.
func sameEntry(dir string, entry *os.File) error {
	before, err := entry.Stat()
	if err != nil {
		return err
	}
	path, err := entryPath(dir)
	if err != nil {
		return err
	}
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) {
		return errOtherMachine
	}
	return nil
}

func newRuntime(ctx context.Context, cache wazero.CompilationCache) wazero.Runtime {
	config := wazero.NewRuntimeConfig().WithDebugInfoEnabled(false).WithCompilationCache(cache)
	return wazero.NewRuntimeWithConfig(ctx, config)
}

func (p *program) close() {
	ctx := context.Background()
	if p.runtime != nil {
		_ = p.runtime.Close(ctx)
	}
	if p.cache != nil {
		_ = p.cache.Close(ctx) // the engine, and with it all code
	}
}

// readCode returns the skeleton in dir, and the entry beside it, open, once the
// digest of both has been found right.
func readCode(dir string) (skeleton []byte, entry *os.File, err error) {
	if skeleton, err = os.ReadFile(filepath.Join(dir, skeletonFile)); err != nil {
		return nil, nil, err
	}
	want, err := os.ReadFile(filepath.Join(dir, digestFile))
	if err != nil {
		return nil, nil, err
	}
	path, err := entryPath(dir)
	if err != nil {
		return nil, nil, err
	}
	if entry, err = os.Open(path); err != nil {
		return nil, nil, err
	}
	got, err := digestCode(dir, filepath.Base(dir), skeleton)
	if err == nil && string(want) != got {
		err = errDamaged
	}
	if err != nil {
		_ = entry.Close()
		return nil, nil, err
	}
	return skeleton, entry, nil
}

// digestCode is the digest of a skeleton and of the one cache entry in dir, as the
// code under key.
func digestCode(dir, key string, skeleton []byte) (string, error) {
	path, err := entryPath(dir)
	if err != nil {
		return "", err
	}
	code, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer code.Close()
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d\n", key, filepath.Base(path), len(skeleton))
	_, _ = h.Write(skeleton)
	if _, err := io.Copy(h, code); err != nil { // in pieces: 42 MB of net/http at once would be as much memory to touch
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// entryPath finds the one entry of the wazero cache in dir. (filepath.Glob would find
// none where directories cannot be read.)
func entryPath(dir string) (string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var entries []string
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), "wazero-") {
			continue
		}
		list, err := os.ReadDir(filepath.Join(dir, d.Name()))
		if err != nil {
			return "", err
		}
		for _, entry := range list {
			entries = append(entries, filepath.Join(dir, d.Name(), entry.Name()))
		}
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s: %d cache entries where there should be one", dir, len(entries))
	}
	return entries[0], nil
}

// touchAll marks all files under dir as used today.
func touchAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			_ = touch(path)
		}
		return nil
	})
}
