package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

const (
	wasmPage = 64 << 10
	// fuelSlice is how many loop iterations or calls a guest runs between two yields:
	// 30-100 us of ordinary code, so that a deadline or the collector waits no
	// longer, and a yield's cost stays below one per cent.
	fuelSlice = 10_000
)

// Image is a prepared version of a function: compiled code and the snapshot
// every sandbox starts from. It is safe for concurrent use.
type Image struct {
	engine   *Engine
	settings Settings
	environ  []string // "NAME=value", sorted
	digest   string   // of the module, lower-case hex SHA-256
	module   *wasmbin.Module
	rewrite  *wasmbin.Rewritten
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	snapshot *snapshot // nil: every sandbox is initialised anew
	note     string
	clock    int64 // nanoseconds added to the engine's monotonic clock

	idle   idle
	users  atomic.Int64 // sandboxes in use, plus one until Close
	closed atomic.Bool
}

// Prepare makes wasm ready to serve. It compiles the module, or takes the code
// from the engine's directory, and initialises it, or takes the snapshot from
// there. The error is a *function.Error: Invalid when the module cannot be run
// here, otherwise what went wrong in its initialisation.
func (e *Engine) Prepare(ctx context.Context, wasm []byte, settings Settings) (_ *Image, err error) {
	img := &Image{engine: e, settings: settings, environ: environ(&settings), digest: Digest(wasm)}
	img.users.Store(1)
	defer func() {
		if err != nil {
			img.Close()
		}
	}()
	if err := img.compile(ctx, wasm); err != nil {
		return nil, &function.Error{Kind: abi.Invalid, Op: "load", Err: err}
	}
	if img.snapshot, err = img.loadSnapshot(); err == nil {
		img.clock = max(0, img.snapshot.monotonic-e.monotonic())
		return img, nil
	}
	if err := img.freeze(ctx); err != nil {
		return nil, err
	}
	return img, nil
}

// Digest returns a module's identity: its SHA-256 in lower-case hex.
func Digest(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
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

func (img *Image) compile(ctx context.Context, wasm []byte) error {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return err
	}
	if err := checkImports(m); err != nil {
		return err
	}
	if err := checkExports(m); err != nil {
		return err
	}
	img.module = m
	img.rewrite, err = m.Rewrite(wasmbin.Options{MemoryPages: uint32(img.settings.MemoryMax / wasmPage), Fuel: fuelSlice})
	if err != nil {
		return err
	}
	config := wazero.NewRuntimeConfig().WithDebugInfoEnabled(false).WithCompilationCache(img.engine.cache)
	img.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := instantiateHostModules(ctx, img.runtime); err != nil {
		return err
	}
	img.compiled, err = img.runtime.CompileModule(ctx, img.rewrite.Wasm)
	return err
}

// Check reports why wasm cannot be a spore function, without compiling it.
func Check(wasm []byte) error {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return err
	}
	return errors.Join(checkImports(m), checkExports(m))
}

// checkExports refuses a module that is not a spore guest, naming what is missing.
func checkExports(m *wasmbin.Module) error {
	void := wasmbin.FuncType{}
	if !m.ExportsMemory(abi.ExportMemory) {
		return fmt.Errorf("the module does not export its memory as %q", abi.ExportMemory)
	}
	if t, ok := m.FuncExport(abi.ExportServe); !ok || !t.Equal(void) {
		return fmt.Errorf("the module does not export the function %s(); is it a spore function, with guest.Start in its main?", abi.ExportServe)
	}
	if m.Exports(abi.ExportStart) == m.Exports(abi.ExportInitialize) {
		return fmt.Errorf("the module must export one of %s and %s", abi.ExportStart, abi.ExportInitialize)
	}
	for _, name := range []string{abi.ExportStart, abi.ExportInitialize, abi.ExportWarm} {
		if t, ok := m.FuncExport(name); m.Exports(name) && (!ok || !t.Equal(void)) {
			return fmt.Errorf("export %s is not a function without parameters and results", name)
		}
	}
	if t, ok := m.FuncExport(abi.ExportRandom); m.Exports(abi.ExportRandom) && (!ok || !t.Equal(wasmbin.FuncType{Results: []wasmbin.ValueType{wasmbin.I64}})) {
		return fmt.Errorf("export %s is not a function that returns one i64", abi.ExportRandom)
	}
	return nil
}

// freeze initialises the module, warms it up and makes the snapshot. A module whose random
// numbers would repeat is left without one.
func (img *Image) freeze(ctx context.Context) error {
	inst, err := img.boot(ctx)
	if err != nil {
		return err
	}
	defer inst.close()
	if err := img.warmUp(ctx, inst); err != nil {
		return err
	}
	snap, err := inst.snapshot(img)
	if err != nil {
		return err
	}
	img.snapshot = snap
	fresh, err := img.drawsDiffer(ctx)
	if err != nil {
		return err
	}
	if !fresh {
		img.snapshot.close()
		img.snapshot = nil
		img.note = "its random numbers would repeat after a restore, so every request initialises the module anew; rebuild it with this host's SDK"
		return nil
	}
	if err := img.storeSnapshot(snap, inst.bytes()); err != nil {
		img.note = "the snapshot could not be stored, so a restart initialises again: " + err.Error()
	}
	return nil
}

// drawsDiffer asks two restores for a random number each. Guests that do not
// export spore_random have no generator of their own to ask.
func (img *Image) drawsDiffer(ctx context.Context) (bool, error) {
	if _, ok := img.module.FuncExport(abi.ExportRandom); !ok {
		return true, nil
	}
	var draws [2]uint64
	for i := range draws {
		sb, err := img.Open(ctx)
		if err != nil {
			return false, err
		}
		draws[i], err = sb.random()
		sb.Close()
		if err != nil {
			return false, fmt.Errorf("%s: %w", abi.ExportRandom, err)
		}
	}
	return draws[0] != draws[1], nil
}

// boot returns a new instance, initialised up to its first get_next_request.
func (img *Image) boot(ctx context.Context) (*instance, error) {
	inst, err := img.instantiate(ctx, nil)
	if err != nil {
		return nil, err
	}
	if err := img.initialise(ctx, inst); err != nil {
		inst.close()
		return nil, err
	}
	return inst, nil
}

func (img *Image) initialise(ctx context.Context, inst *instance) error {
	for _, seg := range img.module.Data {
		if !inst.mod.Memory().Write(seg.Offset, seg.Bytes) {
			return &function.Error{Kind: abi.Invalid, Op: "initialise", Err: errors.New("a data segment lies outside the memory")}
		}
	}
	end := time.Now().Add(img.settings.InitTimeout)
	r := &run{Context: ctx, img: img, phase: phaseInit, end: end, respond: end}
	name := abi.ExportStart
	if _, ok := img.module.FuncExport(abi.ExportInitialize); ok {
		name = abi.ExportInitialize
	}
	if img.rewrite.Start {
		if err := r.enter(inst.mod.ExportedFunction(wasmbin.StartExport), inst.memory, nil); err != nil {
			return err
		}
	}
	err := r.enter(inst.mod.ExportedFunction(name), inst.memory, nil)
	switch {
	case errors.Is(err, errFrozen):
		return nil
	case err == nil && name == abi.ExportInitialize:
		return nil
	case err == nil:
		return &function.Error{Kind: abi.NoAnswer, Op: "initialise", Err: errors.New("main returned without asking for a request; end main with guest.Start(handler)")}
	case function.KindOf(err) == abi.Deadline:
		return &function.Error{Kind: abi.Deadline, Op: "initialise", Err: fmt.Errorf("no request was asked for within %v; raise init_timeout, or look for work that never ends before guest.Start", img.settings.InitTimeout)}
	}
	return err
}

// Note returns what the operator should know about the image, or "".
func (img *Image) Note() string { return img.note }

func (img *Image) monotonic() int64 { return img.engine.monotonic() + img.clock }

// acquire keeps the image alive for one more user; false after Close.
func (img *Image) acquire() bool {
	for {
		n := img.users.Load()
		if n == 0 {
			return false
		}
		if img.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (img *Image) release() {
	if img.users.Add(-1) > 0 {
		return
	}
	img.idle.close()
	ctx := context.Background()
	if img.compiled != nil {
		_ = img.compiled.Close(ctx) // with a shared cache, closing the runtime keeps the code
	}
	if img.runtime != nil {
		_ = img.runtime.Close(ctx)
	}
	if img.snapshot != nil {
		img.snapshot.close()
	}
}

// Close lets go of the image: no new sandboxes, and its memory and code are
// freed when the last one in use is closed. Further calls do nothing.
func (img *Image) Close() {
	if img.closed.CompareAndSwap(false, true) {
		img.release()
	}
}
