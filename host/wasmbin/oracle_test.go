package wasmbin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"spore/host/wasmbin"
)

// The oracle runs modules twice, as they are and rewritten, and compares all that
// can be seen of them: verdicts, results, traps, memory and globals. The modules
// are those of wazero's own tests, which come with its source in the module cache.
// What wazero makes of them is right by definition.

const (
	// oracleFuel is how much a rewritten module gets at each yield: so little that
	// nearly all of them yield.
	oracleFuel = 3
	// oraclePiece makes pieces of nearly all bulk instructions.
	oraclePiece = 5
	// oracleYields ends a call that goes on for ever, which only rewritten code can.
	oracleYields = 5_000_000
	// oraclePages is the memory a module may have. Some grow to gigabytes.
	oraclePages = 1024
)

var errEndless = errors.New("endless")

// rewriteForOracle is what the sandbox does with a module before it compiles it.
func rewriteForOracle(wasm []byte) (*wasmbin.Module, *wasmbin.Rewritten, error) {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return nil, nil, err
	}
	out, err := m.Rewrite(wasmbin.WithPiece(wasmbin.Options{MemoryPages: oraclePages, Fuel: oracleFuel}, oraclePiece))
	return m, out, err
}

// yield stands in for the sandbox's.
func (o *oracle) yield(_ context.Context, atEntry int32) int64 {
	o.yields++
	if o.left--; o.left == 0 {
		panic(errEndless)
	}
	if atEntry != 0 && o.yields%2 == 0 {
		return -oracleFuel
	}
	return oracleFuel
}

// oracle is two worlds of modules that may import one another. In the second,
// modules are rewritten, but for those that spore refuses.
type oracle struct {
	tb               testing.TB
	ctx              context.Context
	plain, rewritten wazero.Runtime
	subjects         []*subject
	left             int // yields until a call is endless
	tally
}

// subject is a module in both worlds.
type subject struct {
	plain, rewritten api.Module
	refused          bool // it is the same in both
}

func newOracle(tb testing.TB, features api.CoreFeatures) *oracle {
	config := wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(oraclePages).WithDebugInfoEnabled(false)
	o := &oracle{tb: tb, ctx: tb.Context(), tally: newTally(),
		plain: wazero.NewRuntimeWithConfig(tb.Context(), config), rewritten: wazero.NewRuntimeWithConfig(tb.Context(), config)}
	tb.Cleanup(func() {
		require.NoError(tb, o.plain.Close(context.Background()))
		require.NoError(tb, o.rewritten.Close(context.Background()))
	})
	_, err := o.rewritten.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().WithFunc(o.yield).Export(wasmbin.Yield).Instantiate(o.ctx)
	require.NoError(tb, err)
	return o
}

// instantiate brings wasm into both worlds, and returns nil when it goes into
// neither.
func (o *oracle) instantiate(wasm []byte, name string) *subject {
	o.tb.Helper()
	config := wazero.NewModuleConfig().WithName(name).WithStartFunctions()
	wasm = withMemory(wasm)
	m, out, refusal := rewriteForOracle(wasm)
	s := &subject{refused: refusal != nil}
	var plainErr, err error
	s.plain, plainErr = o.plain.InstantiateWithConfig(o.ctx, wasm, config)
	if s.refused {
		o.refused[reason(refusal)]++
		s.rewritten, err = o.rewritten.InstantiateWithConfig(o.ctx, wasm, config)
	} else {
		o.modules++
		s.rewritten, err = o.rewritten.InstantiateWithConfig(o.ctx, out.Wasm, config)
		if err == nil {
			err = o.initialise(s.rewritten, m)
		}
	}
	require.Equal(o.tb, trap(plainErr), trap(err), "instantiation: plain %v, rewritten %v", plainErr, err)
	if err != nil {
		return nil
	}
	o.subjects = append(o.subjects, s)
	return s
}

// initialise does what the sandbox does after an instantiation.
func (o *oracle) initialise(mod api.Module, m *wasmbin.Module) error {
	for _, seg := range m.Data {
		if !mod.Memory().Write(seg.Offset, seg.Bytes) {
			return errors.New("a data segment lies outside the memory")
		}
	}
	start := mod.ExportedFunction(wasmbin.StartExport)
	if start == nil {
		return nil
	}
	o.left = oracleYields
	_, err := start.Call(o.ctx)
	return err
}

// call calls an exported function in both worlds and compares what comes back.
func (o *oracle) call(s *subject, name string, args []uint64) {
	o.tb.Helper()
	plain, rewritten := s.plain.ExportedFunction(name), s.rewritten.ExportedFunction(name)
	require.NotNil(o.tb, plain, name)
	require.NotNil(o.tb, rewritten, name)
	o.left = oracleYields
	results, err := rewritten.Call(o.ctx, args...)
	require.NotErrorIs(o.tb, err, errEndless)
	want, wantErr := plain.Call(o.ctx, args...)
	require.Equal(o.tb, trap(wantErr), trap(err), "%s%v: plain %v, rewritten %v", name, args, wantErr, err)
	types := plain.Definition().ResultTypes()
	require.Equal(o.tb, visible(want, types), visible(results, types), "%s%v", name, args)
	if s.refused {
		return
	}
	o.calls++
	if err != nil {
		o.traps++
	}
}

// exhaust calls a function that recurses without end. Where it ends differs.
func (o *oracle) exhaust(s *subject, name string, args []uint64) {
	o.tb.Helper()
	o.left = oracleYields
	_, err := s.rewritten.ExportedFunction(name).Call(o.ctx, args...)
	require.Error(o.tb, err)
	require.NotErrorIs(o.tb, err, errEndless)
}

// validate compares the verdicts on a module. The rewriter drops custom sections
// without a look at them.
func (o *oracle) validate(wasm []byte) {
	o.tb.Helper()
	wasm = withMemory(wasm)
	plainErr := compile(o.ctx, o.plain, wasm)
	_, out, err := rewriteForOracle(wasm)
	if err == nil {
		err = compile(o.ctx, o.rewritten, out.Wasm)
	}
	switch {
	case plainErr == nil && err == nil:
		o.valid++
	case plainErr != nil && err != nil:
		o.invalid++
	case plainErr != nil && strings.Contains(plainErr.Error(), "custom section"):
		o.mended++
	case plainErr == nil && err != nil:
		require.IsType(o.tb, &wasmbin.Error{}, err, "refused by the engine, and only after the rewrite")
		o.refused[reason(err)]++
	default:
		require.NoError(o.tb, plainErr, "accepted after the rewrite")
	}
}

func compile(ctx context.Context, rt wazero.Runtime, wasm []byte) error {
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	return compiled.Close(ctx)
}

// compareState compares the memory and globals of all modules.
func (o *oracle) compareState() {
	for _, s := range o.subjects {
		if s.refused {
			continue
		}
		o.instances++
		plain, rewritten := s.plain.Memory(), s.rewritten.Memory()
		require.Equal(o.tb, plain.Size(), rewritten.Size())
		want, _ := plain.Read(0, plain.Size())
		got, _ := rewritten.Read(0, plain.Size())
		require.True(o.tb, bytes.Equal(want, got), "memory differs")
		globals, same := s.plain.(experimental.InternalModule), s.rewritten.(experimental.InternalModule)
		for i := range globals.NumGlobal() {
			want, got := globals.Global(i), same.Global(i)
			types := []api.ValueType{want.Type()}
			require.Equal(o.tb, types[0], got.Type())
			require.Equal(o.tb, visible([]uint64{want.Get()}, types), visible([]uint64{got.Get()}, types), "global %d", i)
		}
	}
}

// tally is what an oracle has seen.
type tally struct {
	modules, instances int // compared; the second at the end of their lives
	calls, traps       int // compared; the second are some of the first
	yields             int
	valid              int            // compiled in both forms, by validate
	invalid            int            // not valid in either form
	mended             int            // not valid before the rewrite, and valid after it
	refused            map[string]int // by reason
}

func newTally() tally { return tally{refused: map[string]int{}} }

func (t *tally) add(u tally) {
	t.modules += u.modules
	t.instances += u.instances
	t.calls += u.calls
	t.traps += u.traps
	t.yields += u.yields
	t.valid += u.valid
	t.invalid += u.invalid
	t.mended += u.mended
	for reason, n := range u.refused {
		t.refused[reason] += n
	}
}

func (t *tally) log(tb testing.TB) {
	tb.Logf("%d modules and %d calls compared, of which %d trapped; %d yields; %d invalid modules, %d mended by the rewrite",
		t.modules, t.calls, t.traps, t.yields, t.invalid, t.mended)
	for _, reason := range slices.Sorted(maps.Keys(t.refused)) {
		tb.Logf("%d refused: %s", t.refused[reason], reason)
	}
}

const v128, funcref, externref = 0x7b, 0x70, 0x6f

// visible returns values as a guest can tell them apart: of a reference to a
// function, only whether it is null.
func visible(values []uint64, types []api.ValueType) []uint64 {
	values = slices.Clone(values)
	for i, at := 0, 0; i < len(types) && at < len(values); i, at = i+1, at+1 {
		switch {
		case types[i] == v128:
			at++
		case types[i] == funcref && values[at] != 0:
			values[at] = 1
		}
	}
	return values
}

// trap returns the part of an error that does not name functions or sections.
func trap(err error) string {
	if err == nil {
		return ""
	}
	if _, kind, ok := strings.Cut(err.Error(), "wasm error: "); ok {
		kind, _, _ = strings.Cut(kind, "\n")
		return kind
	}
	return "an error"
}

var particulars = regexp.MustCompile(`"[^"]*"|\b(0x[0-9a-f]+|[0-9]+)\b`)

// reason returns a refusal without its particulars.
func reason(err error) string {
	var e *wasmbin.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return particulars.ReplaceAllString(e.Text, "…")
}

// withMemory returns wasm with a memory of no pages when it has none: such a
// module cannot be a spore function, but there is no other reason to refuse it.
func withMemory(wasm []byte) []byte {
	if _, err := wasmbin.Parse(wasm); err == nil || !strings.Contains(err.Error(), "no memory") {
		return wasm
	}
	const memory = 5
	at := 8
	for at < len(wasm) && wasm[at] < memory {
		at = nextSection(wasm, at)
	}
	rest := at
	if at < len(wasm) && wasm[at] == memory { // a section with no memory in it
		rest = nextSection(wasm, at)
	}
	return slices.Concat(wasm[:at], section(memory, 1, 1, 0, 0), wasm[rest:])
}

// nextSection returns where the section behind the one at that place begins, in a
// module whose sizes Parse has found to be right.
func nextSection(wasm []byte, at int) int {
	size, n := binary.Uvarint(wasm[at+1:])
	return at + 1 + n + int(size)
}

// wazeroTests returns the folder of wazero's integration tests.
func wazeroTests(tb testing.TB) string {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(tb, err)
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "integration_test")
}

// TestFuzzCasesBehaveTheSame calls every function that modules export which once
// broke wazero.
func TestFuzzCasesBehaveTheSame(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(wazeroTests(t), "fuzzcases", "testdata", "*.wasm"))
	require.NoError(t, err)
	all := newTally()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".wasm"), func(t *testing.T) {
			wasm, err := os.ReadFile(file)
			require.NoError(t, err)
			o := newOracle(t, api.CoreFeaturesV2)
			if s := o.instantiate(wasm, ""); s != nil {
				o.callAll(s)
			}
			o.compareState()
			all.add(o.tally)
		})
	}
	all.log(t)
	require.GreaterOrEqual(t, all.modules, 43)
	require.GreaterOrEqual(t, all.calls, 90)
	require.Positive(t, all.traps)
	require.Positive(t, all.yields)
}

// callAll calls every function with zeros and with small numbers.
func (o *oracle) callAll(s *subject) {
	for name, def := range s.plain.ExportedFunctionDefinitions() {
		for _, number := range []uint64{0, 5} {
			var args []uint64
			for _, typ := range def.ParamTypes() {
				switch typ {
				case v128:
					args = append(args, number, number)
				case funcref, externref:
					args = append(args, 0)
				default:
					args = append(args, number)
				}
			}
			o.call(s, name, args)
		}
	}
}
