// Package sandbox runs guest modules, every event in a sandbox of its own.
//
// An Engine prepares a module into an Image: the module rewritten and compiled,
// initialised once, and frozen at its first get_next_request. The Image hands
// out a Sandbox that stands exactly at that point; the Sandbox serves one event
// and is closed. Nothing a guest passes can harm the host or reach another
// sandbox: pointers, lengths, names and the order of calls are checked, and what
// goes wrong comes back as a *function.Error whose kind says what it was.
//
// This is the only package that imports wazero.
package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tetratelabs/wazero"

	"spore/abi"
)

// Options of an Engine.
type Options struct {
	// Directory holds derived files: compiled code and snapshots. It is created
	// when missing and may be deleted while no Engine uses it. Required.
	Directory string
	// Now is the wall clock that guests see; nil means time.Now. Deadlines do
	// not depend on it.
	Now func() time.Time
	// Prove compares all memory and globals after every restore and panics on a
	// difference. It is for tests: it costs a pass over the memory each time.
	Prove bool
	// Unisolated leaves an instance that has served as the event left it, for the
	// next one to find. It is for measurements that need to know what restoring
	// costs, and for nothing else.
	Unisolated bool
}

// Engine prepares images. It is safe for concurrent use.
type Engine struct {
	images string
	prove  bool
	reuse  bool
	now    func() time.Time
	start  time.Time // zero point of the guests' monotonic clock
	cache  wazero.CompilationCache
}

// Open returns an Engine over opt.Directory. The caller closes it after the
// last of its images.
func Open(opt Options) (*Engine, error) {
	e := &Engine{images: filepath.Join(opt.Directory, "images"), now: opt.Now, start: time.Now(), prove: opt.Prove, reuse: opt.Unisolated}
	if e.now == nil {
		e.now = time.Now
	}
	if err := os.MkdirAll(e.images, 0o700); err != nil {
		return nil, fmt.Errorf("open sandbox engine: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(opt.Directory, "compiled"))
	if err != nil {
		return nil, fmt.Errorf("open compile cache: %w", err)
	}
	e.cache = cache
	return e, nil
}

// Close releases the compiled code the engine holds in memory.
func (e *Engine) Close() error { return e.cache.Close(context.Background()) }

// monotonic is the guests' monotonic clock in nanoseconds, before an image's own
// offset is added. It starts at one, because zero means "not set" to some guests.
func (e *Engine) monotonic() int64 { return int64(time.Since(e.start)) + 1 }

// Settings are what an image depends on beside its module.
type Settings struct {
	Name        string            // argv[0], and the name in messages
	MemoryMax   int64             // bytes, a multiple of 64 KiB
	InitTimeout time.Duration     // for everything before the first get_next_request
	Env         map[string]string // the guest's environment, whole
	Warmup      []Sample          // served in this order before the snapshot is taken
	Capabilities
}

// Capabilities are the host's services as one function may use them. Each is
// called on behalf of a running guest; nil means the guest is refused. Calls
// may overlap.
type Capabilities struct {
	// HTTP performs an outbound call and returns its head, and its body unless
	// head.Kind says that there is none. ctx ends with the event. The request's
	// bytes are the callee's to keep.
	HTTP func(ctx context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser)
	// Secret returns a secret's value, or an error with a kind.
	Secret func(name string) ([]byte, error)
	// Log takes a record, whose strings it may keep. requestID is empty during
	// initialisation.
	Log func(requestID string, rec abi.LogRecord)
}

func (c *Capabilities) log(requestID string, rec abi.LogRecord) {
	if c.Log != nil {
		c.Log(requestID, rec)
	}
}

// fillEntropy writes fresh random bytes. crypto/rand never fails: where the
// kernel has none to give, the process ends.
func fillEntropy(b []byte) { _, _ = rand.Read(b) }
