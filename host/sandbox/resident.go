package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"spore/abi"
	"spore/host/function"
)

// resident is what an image has in memory while it serves: code, snapshot, and
// instances that stand at the snapshot. It lives until the image has let go of it
// and its last sandbox is closed.
type resident struct {
	img      *Image
	program  *program
	snapshot *snapshot
	clock    int64 // nanoseconds added to the engine's monotonic clock

	idle  idle
	users atomic.Int64 // sandboxes in use, plus one while the image holds on to it
	used  atomic.Int64 // when a guest last ended, on the engine's clock
}

func (img *Image) newResident(p *program, s *snapshot) *resident {
	res := &resident{img: img, program: p, snapshot: s, clock: max(0, s.Monotonic-img.engine.monotonic())}
	res.users.Store(1)
	return res
}

// monotonic is the guests' monotonic clock: never behind the snapshot's.
func (res *resident) monotonic() int64 { return res.img.engine.monotonic() + res.clock }

// acquire keeps the resident alive for one more user; false when it is gone.
func (res *resident) acquire() bool {
	for {
		n := res.users.Load()
		if n == 0 {
			return false
		}
		if res.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (res *resident) release() {
	if res.users.Add(-1) > 0 {
		return
	}
	res.img.engine.closeAll(res.idle.close())
	res.snapshot.close()
	res.img.engine.releaseProgram(res.program)
}

// acquire returns what the image needs to serve, from disk when it is at rest: since
// is when that was begun, on the engine's clock, otherwise 0. The caller releases it.
func (img *Image) acquire(ctx context.Context) (res *resident, since int64, err error) {
	for {
		if img.closed.Load() {
			return nil, 0, &function.Error{Kind: abi.NotReady, Op: "open sandbox " + img.settings.Name, Err: errors.New("the version was replaced")}
		}
		if res := img.resident.Load(); res != nil && res.acquire() {
			return res, since, nil
		}
		if since == 0 {
			since = img.engine.elapsed()
		}
		if err := img.wake(ctx); err != nil {
			return nil, 0, err
		}
	}
}

// Wake brings the image into memory, so that its next event need not wait for that.
func (img *Image) Wake(ctx context.Context) error {
	res, _, err := img.acquire(ctx)
	if err == nil {
		res.release()
	}
	return err
}

// waking is an image on its way into memory.
type waking struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it is there, or err says why not
	err    error
}

// wake brings the image into memory, unless it is there by now, and waits for that as
// long as ctx lasts. What was begun goes on then: where it takes longer than events have
// for their answers, it would be begun again by each, and never end.
func (img *Image) wake(ctx context.Context) error {
	w := img.begin()
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		kind := abi.NotReady
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			kind = abi.Deadline
		}
		return &function.Error{Kind: kind, Op: "load " + img.settings.Name, Err: ctx.Err()}
	}
}

// begin has the image brought into memory by one goroutine for all who wait; nil says
// that there is nothing to wait for.
func (img *Image) begin() *waking {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.closed.Load() || img.resident.Load() != nil {
		return nil
	}
	if img.waking == nil {
		ctx, cancel := context.WithCancel(context.Background())
		img.waking = &waking{cancel: cancel, done: make(chan struct{})}
		go img.waking.run(ctx, img) // Close ends it and waits
	}
	return img.waking
}

func (w *waking) run(ctx context.Context, img *Image) {
	defer close(w.done)
	defer w.cancel()
	res, err := img.tryLoad(ctx)
	w.err = err
	img.mu.Lock()
	unwanted := res != nil && img.closed.Load()
	if res != nil && !unwanted {
		img.keep(res)
	}
	img.mu.Unlock()
	if unwanted {
		res.release()
	}
	img.mu.Lock()
	defer img.mu.Unlock()
	img.waking = nil // last: Close waits for all of this
}

// tryLoad makes an error of a panic, which would end the host.
func (img *Image) tryLoad(ctx context.Context) (res *resident, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &function.Error{Kind: abi.Internal, Op: "load " + img.settings.Name, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return img.load(ctx)
}

// load reads code and snapshot from the engine's directory. Whatever is wrong with
// them, they are made again from the module; where they could not be read because the
// process has run out of something, nothing is known to be wrong with them.
func (img *Image) load(ctx context.Context) (*resident, error) {
	res, err := img.read(ctx)
	switch {
	case err == nil:
		return res, nil
	case isShortage(err):
		return nil, &function.Error{Kind: abi.Overloaded, Op: "load " + img.settings.Name, Err: err}
	}
	wasm, err := img.engine.files.module(img.digest)
	if err != nil {
		return nil, &function.Error{Kind: abi.Internal, Op: "load " + img.settings.Name, Err: errors.Join(err, errors.New("deploy the function again"))}
	}
	return img.build(ctx, wasm)
}

// isShortage reports whether err says that the process, or the machine, has no more
// descriptors or memory to give, which a later try may find.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

func (img *Image) read(ctx context.Context) (*resident, error) {
	s, err := img.loadSnapshot()
	if err != nil {
		return nil, err
	}
	img.Touch()
	p, err := img.engine.program(ctx, s.Code)
	if err != nil {
		s.close()
		return nil, err
	}
	return img.newResident(p, s), nil
}

// keep makes res what the image serves from.
func (img *Image) keep(res *resident) {
	e := img.engine
	res.used.Store(e.elapsed())
	img.resident.Store(res)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[img] = struct{}{}
}

// drop puts the image at rest, and returns what it served from for the caller to
// release, or nil. img.mu is held, so that is not done here: what is closed waits for a core.
func (img *Image) drop() *resident {
	res := img.resident.Swap(nil)
	if res != nil {
		e := img.engine
		e.mu.Lock()
		delete(e.images, img)
		e.mu.Unlock()
	}
	return res
}

// sweep puts the image at rest when nobody has used it since the time given, and
// otherwise closes the instances that were not needed since the last sweep.
func (img *Image) sweep(since int64) {
	img.mu.Lock()
	res := img.resident.Load()
	unused := res != nil && !img.pinned && res.used.Load() < since && res.users.Load() == 1
	if unused {
		img.drop()
	}
	img.mu.Unlock()
	switch {
	case unused:
		res.release()
	case res != nil && res.acquire(): // so that what the instances are of outlives them
		img.engine.closeAll(res.idle.trim())
		res.release()
	}
}

// Resident reports whether the image is in memory.
func (img *Image) Resident() bool { return img.resident.Load() != nil }

// Wanted reports whether the image is in memory, or on its way there.
func (img *Image) Wanted() bool {
	img.mu.Lock()
	defer img.mu.Unlock()
	return img.Resident() || img.waking != nil
}

// Touch marks the image's files as used today, for whoever deletes old ones. It is
// false when the image is at rest and its module is gone, of which all else can be
// made again.
func (img *Image) Touch() (ok bool) {
	_ = touch(img.snapshotPath())
	_ = touch(img.engine.files.codeOfPath(img.digest))
	touchAll(filepath.Join(img.engine.files.code, img.codeKey))
	err := touch(filepath.Join(img.engine.files.modules, img.digest))
	return !errors.Is(err, os.ErrNotExist) || img.Resident()
}
