package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

const (
	wasmPage = 64 << 10
	// FuelSlice is how much fuel a guest has between two yields. JSON work yields
	// every 13 us, because a function is charged for all its code and runs only
	// some; a loop of one instruction every 370 us, a chain of loads that miss every
	// cache every 20 to 30 ms. A yield costs 0.3 us. The limit on the call stack is seen
	// at yields, and longer slices let a hostile guest overrun it further.
	//
	// The worst is memory that is touched for the first time: a page fault of 1 to 2 us,
	// and more on a busy machine, for as little as 3 units. A slice is enough for
	// 400 MiB of it: 64 MiB took 93 ms without a yield, 512 MiB 635 ms. So the memory
	// limit bounds it, at 1.5 ms a MiB, where there are no huge pages; only a charge for
	// every store could do better.
	FuelSlice = 300_000
)

// Image is a prepared version of a function. At rest it is its settings and the
// names of its files; the first sandbox brings code and snapshot into memory, and
// the engine's sweep takes them out again. It is safe for concurrent use.
type Image struct {
	engine   *Engine
	settings Settings
	environ  []string // "NAME=value", sorted
	digest   string   // of the module, lower-case hex SHA-256
	codeKey  string   // of its compiled code
	note     string
	pinned   bool // there are no files to bring it back from
	cores    holder
	budget   budget
	long     atomic.Bool // the last event was a long run

	resident atomic.Pointer[resident] // nil at rest
	closed   atomic.Bool
	mu       sync.Mutex // held while resident changes
	waking   *waking    // nil unless it is being made
}

// Prepare makes wasm ready to serve. It compiles the module and initialises it,
// or finds that an earlier Prepare has left the result in the engine's directory.
// The image is at rest then, which Wake changes before the first event does.
// The error is a *function.Error: Invalid when the module cannot be run here,
// otherwise what went wrong in its initialisation.
func (e *Engine) Prepare(ctx context.Context, wasm []byte, settings Settings) (*Image, error) {
	digest := Digest(wasm)
	if img, ok := e.Prepared(digest, settings); ok {
		return img, nil
	}
	img := e.newImage(digest, settings)
	res, err := img.build(ctx, wasm)
	if err != nil {
		return nil, err
	}
	img.note, img.codeKey = res.snapshot.Note, res.program.key
	img.Touch() // its module and code may be there since long ago
	if img.pinned {
		img.keep(res)
	} else {
		res.release()
	}
	return img, nil
}

// Prepared returns the image of the module with that digest, if an earlier Prepare with
// the same settings has left all that it is made of in the engine's directory. It takes
// about a millisecond.
func (e *Engine) Prepared(digest string, settings Settings) (_ *Image, ok bool) {
	img := e.newImage(digest, settings)
	header, _, err := img.readSnapshot()
	if err != nil || !e.files.hasModule(digest) || e.commons.fits(header.cost()) != nil {
		return nil, false
	}
	img.note, img.codeKey = header.Note, header.Code
	img.Touch()
	return img, true
}

func (e *Engine) newImage(digest string, settings Settings) *Image {
	return &Image{engine: e, settings: settings, environ: environ(&settings), digest: digest, budget: budget{commons: e.commons}}
}

// environ returns the guest's environment. Without an opinion of the author's,
// Go guests collect no garbage until three quarters of their memory are used:
// a short request needs no collection at all.
func environ(s *Settings) []string {
	env := map[string]string{"GOGC": "off", "GOMEMLIMIT": strconv.FormatInt(s.MemoryMax/4*3, 10)}
	maps.Copy(env, s.Env)
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// snapshotKey names the image's snapshot by everything that it depends on.
func (img *Image) snapshotKey() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n%q\n%q\n", snapshotVersion, codeBase()+img.digest, img.settings.MemoryMax, img.settings.Name, img.environ)
	_ = json.NewEncoder(h).Encode(img.settings.Warmup) // a hash and plain data: neither fails
	return hex.EncodeToString(h.Sum(nil))
}

// build compiles and initialises the module and stores what came of it.
func (img *Image) build(ctx context.Context, wasm []byte) (*resident, error) {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return nil, loadError(err)
	}
	pages := uint32(img.settings.MemoryMax / wasmPage)
	commons := img.engine.commons
	if err := errors.Join(checkModule(m), m.CheckMemory(pages), commons.fits(initialSize(m))); err != nil {
		return nil, loadError(err)
	}
	if err := img.engine.files.makeDirectories(); err != nil {
		return nil, loadError(err)
	}
	p, err := img.engine.compiled(ctx, img.digest, m, wasmbin.Options{MemoryPages: pages, Fuel: FuelSlice})
	if err != nil {
		return nil, loadError(err)
	}
	res, err := img.freeze(ctx, p, m)
	if errors.Is(err, errNoMemory) { // a later try may find others to have given theirs back
		err = &function.Error{Kind: abi.Overloaded, Op: "load", Err: err}
	}
	if err != nil {
		img.engine.releaseProgram(p)
		return nil, err
	}
	res.snapshot.Code, res.snapshot.Beside = p.key, besideMemory(m)
	if err := commons.fits(res.snapshot.cost()); err != nil {
		res.release()
		return nil, loadError(err)
	}
	if err := img.store(wasm, res.snapshot); err != nil {
		img.pinned = true
		res.snapshot.Note = "it could not be stored, so it stays in memory and a restart initialises it again: " + err.Error()
		img.settings.log("", abi.LogRecord{Level: 4, Message: res.snapshot.Note})
	}
	return res, nil
}

// loadError is the error of a module that could not be made ready: the module's own
// doing, unless the error has a kind, or the disk is to blame.
func loadError(err error) error {
	var known *function.Error
	if errors.As(err, &known) {
		return err
	}
	kind := abi.Invalid
	var path *os.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		kind = abi.Internal
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w; make room on the disk of the data directory", err)
	}
	return &function.Error{Kind: kind, Op: "load", Err: err}
}

// store keeps all that a restart needs.
func (img *Image) store(wasm []byte, s *snapshot) error {
	if err := img.engine.files.keepModule(img.digest, wasm); err != nil {
		return err
	}
	return img.storeSnapshot(s)
}

// Note returns what the operator should know about the image, or "".
func (img *Image) Note() string { return img.note }

// Close lets go of the image: no new sandboxes, and what it has in memory is freed
// when the last sandbox is closed. Further calls do nothing.
func (img *Image) Close() {
	img.closed.Store(true)
	img.mu.Lock()
	res, w := img.drop(), img.waking
	img.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.done
	}
	if res != nil {
		res.release()
	}
}
