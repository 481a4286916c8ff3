package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"spore/abi"
	"spore/host/sandbox"
	"spore/host/wasmbin"
)

// plain runs a module on wazero with wazero's own WASI and the smallest host that
// speaks the ABI: the comparison spore has to stand. The module is as the
// toolchain made it, or instrumented as spore instruments it and otherwise run
// the same, which tells what fuel costs.
type plain struct {
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	config   wazero.ModuleConfig
	data     []wasmbin.Segment // what instrumenting took out
	kept     api.Module
	event    []byte
	answered bool
	serving  bool
}

var errInitialised = errors.New("initialised")

func newPlain(ctx context.Context, dir string, wasm []byte, event abi.Event, instrumented bool) (*plain, error) {
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "plain"))
	if err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig().WithCompilationCache(cache)
	p := &plain{cache: cache, runtime: wazero.NewRuntimeWithConfig(ctx, config), event: abi.AppendEvent(nil, &event)}
	p.config = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithSysWalltime().WithSysNanotime().
		WithEnv("GOGC", "off").WithEnv("GOMEMLIMIT", strconv.Itoa(memoryMax/4*3))
	if instrumented {
		wasm, err = p.instrument(wasm)
	}
	if err == nil {
		err = p.prepare(ctx, wasm)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *plain) instrument(wasm []byte) ([]byte, error) {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return nil, err
	}
	rewritten, err := m.Rewrite(wasmbin.Options{MemoryPages: memoryMax >> 16, Fuel: sandbox.FuelSlice})
	if err != nil {
		return nil, err
	}
	p.data = m.Data
	return rewritten.Wasm, nil
}

func (p *plain) prepare(ctx context.Context, wasm []byte) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return err
	}
	refuse := func(context.Context, api.Module, []uint64) { panic("bench: not offered") }
	i32 := api.ValueTypeI32
	host := p.runtime.NewHostModuleBuilder(abi.Module)
	for name, fn := range map[string]struct {
		params int
		call   api.GoModuleFunc
	}{
		abi.ImportGetNextRequest: {2, p.getNextRequest}, abi.ImportSendResponse: {2, p.sendResponse},
		abi.ImportBodyRead: {3, refuse}, abi.ImportSendError: {2, refuse}, abi.ImportHTTPStart: {2, refuse},
		abi.ImportSecretGet: {4, refuse}, abi.ImportKVStart: {2, refuse}, abi.ImportLog: {2, refuse},
	} {
		params := []api.ValueType{i32, i32, i32, i32}[:fn.params]
		host.NewFunctionBuilder().WithGoModuleFunction(fn.call, params, []api.ValueType{i32}).Export(name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return err
	}
	fuel := p.runtime.NewHostModuleBuilder(wasmbin.YieldModule)
	fuel.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(yield), []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}).Export(wasmbin.Yield)
	if _, err := fuel.Instantiate(ctx); err != nil {
		return err
	}
	var err error
	if p.compiled, err = p.runtime.CompileModule(ctx, wasm); err != nil {
		return err
	}
	p.kept, err = p.boot(ctx)
	return err
}

func (p *plain) close() error {
	ctx := context.Background()
	return errors.Join(p.runtime.Close(ctx), p.cache.Close(ctx))
}

// yield goes on at once, as spore's does within a quantum. (runtime.Gosched here would
// wake another thread, which takes the goroutine to a core whose caches are cold.)
func yield(_ context.Context, _ api.Module, stack []uint64) { stack[0] = sandbox.FuelSlice }

func (p *plain) getNextRequest(_ context.Context, mod api.Module, stack []uint64) {
	if !p.serving {
		panic(errInitialised)
	}
	mod.Memory().Write(uint32(stack[0]), p.event)
	stack[0] = uint64(len(p.event))
}

func (p *plain) sendResponse(_ context.Context, mod api.Module, stack []uint64) {
	view, _ := mod.Memory().Read(uint32(stack[0]), uint32(stack[1]))
	var res abi.Result
	p.answered = res.Decode(append([]byte(nil), view...)) == nil
	stack[0] = 0
}

// boot makes an instance and initialises it up to its first request.
func (p *plain) boot(ctx context.Context) (api.Module, error) {
	mod, err := p.runtime.InstantiateModule(ctx, p.compiled, p.config)
	if err != nil {
		return nil, err
	}
	for _, seg := range p.data {
		mod.Memory().Write(seg.Offset, seg.Bytes)
	}
	p.serving = false
	if _, err := mod.ExportedFunction(abi.ExportStart).Call(ctx); !errors.Is(err, errInitialised) {
		return nil, fmt.Errorf("initialise: %w", err)
	}
	return mod, nil
}

func (p *plain) serve(ctx context.Context, mod api.Module) error {
	p.serving, p.answered = true, false
	if _, err := mod.ExportedFunction(abi.ExportServe).Call(ctx); err != nil {
		return err
	}
	if !p.answered {
		return errors.New("no answer")
	}
	return nil
}

// reused serves a request in the instance that has served all before.
func (p *plain) reused(ctx context.Context) (time.Duration, error) { return 0, p.serve(ctx, p.kept) }

// fresh serves a request in a new instance.
func (p *plain) fresh(ctx context.Context) (time.Duration, error) {
	mod, err := p.boot(ctx)
	if err != nil {
		return 0, err
	}
	defer mod.Close(ctx)
	return 0, p.serve(ctx, mod)
}
