// Package sandbox runs guest modules, every event in a sandbox of its own.
//
// An Engine prepares a module into an Image: the module rewritten and compiled,
// initialised once, and frozen at its first get_next_request. The Image hands
// out a Sandbox that stands exactly at that point; the Sandbox serves one event
// and is closed. Nothing a guest passes can harm the host or reach another
// sandbox: pointers, lengths, names and the order of calls are checked, and what
// goes wrong comes back as a *function.Error whose kind says what it was.
//
// An image is small at rest. What it needs to serve is read from the engine's
// directory at its first event and given back when nobody has asked for a while.
//
// This is the only package that imports wazero.
package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"spore/abi"
)

// Options of an Engine.
type Options struct {
	// Directory holds derived files: modules, compiled code and snapshots. It is
	// created when missing and may be deleted while no Engine uses it. Required.
	Directory string
	// Compiler is the command line of a process that calls CompileMain, so that a
	// module nobody knows yet is compiled under resource limits; nil compiles in
	// this process.
	Compiler []string
	// Idle is how long an image stays in memory after its last event; zero means
	// five minutes. Run does it.
	Idle time.Duration
	// Cores is how many guests may run at the same time; those that wait in a host
	// function do not count. Zero means one for each processor Go uses.
	Cores int
	// Memory is how many bytes the memories of all sandboxes in use may have together,
	// those of one image at most three times what is left then; zero sets no bound.
	Memory int64
	// Restore is how instances are put back at their snapshot.
	Restore Method
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
	opt      Options
	files    files
	tracking tracking
	start    time.Time // zero point of all clocks but the wall's
	cores    *cores
	commons  *commons
	threads  sync.Map // of *faultCount, by threadID: those that have executed a guest

	compiling   chan struct{} // holds one token for each module that is being compiled
	compiles    sync.Map      // of a channel with room for one token, by key of the code
	compileTime time.Duration // maxCompileTime, but in tests

	restores restoreCounts

	mu       sync.Mutex
	programs map[string]*program // by key, those in memory
	images   map[*Image]struct{} // those in memory
}

// maxCompiling is how many modules are compiled at the same time.
const maxCompiling = 2

// restoreCounts counts what became of the instances that have served, for tests.
type restoreCounts struct {
	inPlace atomic.Int64 // put back at the snapshot
	spared  atomic.Int64 // of these, without looking for changed pages: no page fault had happened
	dropped atomic.Int64 // grown, trapped, ended, or called out of order
}

// Open returns an Engine over opt.Directory. It holds nothing that has to be given
// back once its images are closed.
func Open(opt Options) (*Engine, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Idle == 0 {
		opt.Idle = 5 * time.Minute
	}
	if opt.Cores == 0 {
		opt.Cores = runtime.GOMAXPROCS(0)
	}
	e := &Engine{opt: opt, start: time.Now(), commons: newCommons(opt.Memory),
		compiling: make(chan struct{}, maxCompiling), compileTime: maxCompileTime, programs: map[string]*program{}, images: map[*Image]struct{}{}}
	e.cores = newCores(opt.Cores, e.elapsed)
	var err error
	if e.files, err = openFiles(opt.Directory); err != nil {
		return nil, fmt.Errorf("open sandbox engine: %w", err)
	}
	if e.tracking, err = choose(opt.Restore); err != nil {
		return nil, fmt.Errorf("open sandbox engine: %w", err)
	}
	return e, nil
}

// RestoreMethod describes how instances are put back at their snapshot on this machine.
func (e *Engine) RestoreMethod() string {
	if e.tracking.counts {
		return e.tracking.method.String() + ", spared where no page fault happened"
	}
	return e.tracking.method.String()
}

// Run takes images that nobody has used for opt.Idle out of memory, until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(e.opt.Idle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.sweep()
		}
	}
}

// sweep looks once at every image in memory.
func (e *Engine) sweep() {
	e.mu.Lock()
	images := make([]*Image, 0, len(e.images))
	for img := range e.images {
		images = append(images, img)
	}
	e.mu.Unlock()
	for _, img := range images {
		img.sweep(e.elapsed() - int64(e.opt.Idle))
	}
}

// elapsed is the engine's own clock, in nanoseconds: one reading costs half of
// time.Now's.
func (e *Engine) elapsed() int64 { return int64(time.Since(e.start)) }

// monotonic is the guests' monotonic clock in nanoseconds, before an image's own
// offset is added. It starts at one, because zero means "not set" to some guests.
func (e *Engine) monotonic() int64 { return e.elapsed() + 1 }

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
	// KV performs an operation on the function's keys. ctx ends with the event. The
	// request's bytes are the callee's to keep; release is called when the answer has
	// been read, or nobody will.
	KV func(ctx context.Context, req *abi.KVRequest) (answer abi.KVAnswer, release func())
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

// entropy is random bytes for the next events, fetched for several at a time: a call
// behind a guest that has used the caches costs 0.5 us.
type entropy struct {
	fresh [8 * abi.EntropySize]byte // zero where they were handed out
	left  int                       // of them, at the end
}

func (e *entropy) next() (piece [abi.EntropySize]byte) {
	if e.left == 0 {
		fillEntropy(e.fresh[:])
		e.left = len(e.fresh)
	}
	from := e.fresh[len(e.fresh)-e.left:][:abi.EntropySize]
	copy(piece[:], from)
	clear(from)
	e.left -= abi.EntropySize
	return piece
}
