package wasmbin_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"spore/abi"
	"spore/bench/alert"
	"spore/host/internal/testmodule"
	"spore/host/wasmbin"
)

// served is one instance of a spore guest that answers the same event again and
// again, with the smallest host around it.
type served struct {
	serve   api.Function
	event   []byte
	serving bool
	yields  int
	times   []float64 // us
}

var errInitialised = errors.New("initialised")

// start instantiates a guest, as it is or rewritten, and initialises it.
func start(b *testing.B, wasm []byte, data []wasmbin.Segment, fuel uint64) *served {
	ctx := b.Context()
	ev := abi.Event{RequestID: "bench", Function: "bench", Version: "1", Method: "POST", Path: "/", Body: []byte(alert.Sample)}
	s := &served{event: abi.AppendEvent(nil, &ev)}
	rt := wazero.NewRuntime(ctx)
	b.Cleanup(func() { _ = rt.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	i32 := []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}
	host := rt.NewHostModuleBuilder(abi.Module)
	for name, params := range map[string]int{abi.ImportGetNextRequest: 2, abi.ImportSendResponse: 2, abi.ImportBodyRead: 3,
		abi.ImportSendError: 2, abi.ImportHTTPStart: 2, abi.ImportSecretGet: 4, abi.ImportKVStart: 2, abi.ImportLog: 2} {
		host.NewFunctionBuilder().WithGoModuleFunction(s.host(name), i32[:params], i32[:1]).Export(name)
	}
	_, err := host.Instantiate(ctx)
	require.NoError(b, err)
	yield := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		s.yields++
		stack[0] = fuel
	})
	_, err = rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().
		WithGoModuleFunction(yield, []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}).Export(wasmbin.Yield).Instantiate(ctx)
	require.NoError(b, err)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithSysWalltime().WithSysNanotime().
		WithEnv("GOGC", "off").WithEnv("GOMEMLIMIT", "40000000")
	mod, err := rt.InstantiateWithConfig(ctx, wasm, config)
	require.NoError(b, err)
	for _, seg := range data {
		mod.Memory().Write(seg.Offset, seg.Bytes)
	}
	_, err = mod.ExportedFunction(abi.ExportStart).Call(ctx)
	require.ErrorIs(b, err, errInitialised)
	s.serving, s.yields = true, 0
	s.serve = mod.ExportedFunction(abi.ExportServe)
	return s
}

func (s *served) host(name string) api.GoModuleFunc {
	return func(_ context.Context, mod api.Module, stack []uint64) {
		switch {
		case name == abi.ImportGetNextRequest && !s.serving:
			panic(errInitialised)
		case name == abi.ImportGetNextRequest:
			mod.Memory().Write(uint32(stack[0]), s.event)
			stack[0] = uint64(len(s.event))
		default:
			stack[0] = 0
		}
	}
}

// BenchmarkFuel answers the benchmark's JSON event by turns in an instance as the
// Go toolchain made it and in one with fuel, and reports medians:
//
//	go test ./host/wasmbin -run xxx -bench Fuel -benchtime 200x
func BenchmarkFuel(b *testing.B) {
	const fuel = 300_000 // as in the sandbox
	wasm := testmodule.Build(b, "../../bench/w2")
	m, err := wasmbin.Parse(wasm)
	require.NoError(b, err)
	out, err := m.Rewrite(wasmbin.Options{MemoryPages: 1024, Fuel: fuel})
	require.NoError(b, err)
	plain, charged := start(b, wasm, nil, 0), start(b, out.Wasm, m.Data, fuel)
	for b.Loop() {
		for range 20 {
			plain.answer(b)
		}
		for range 20 {
			charged.answer(b)
		}
	}
	plain.report(b, "plain")
	charged.report(b, "fuel")
	b.ReportMetric((median(charged.times)/median(plain.times)-1)*100, "%-more")
	b.ReportMetric(float64(charged.yields)/float64(len(charged.times)), "yields")
}

func (s *served) answer(b *testing.B) {
	start := time.Now()
	_, err := s.serve.Call(b.Context())
	s.times = append(s.times, float64(time.Since(start))/1e3)
	require.NoError(b, err)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func (s *served) report(b *testing.B, name string) { b.ReportMetric(median(s.times), name+"-us") }
