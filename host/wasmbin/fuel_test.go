package wasmbin_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"spore/host/internal/testmodule"
	"spore/host/wasmbin"
)

const fullTank = 1 << 40 // more fuel than any of these programs uses

// program is a module of functions without parameters and results, all of them in
// its table; the first is exported as run. Its globals 0 to 2 are i64 and exported.
type program struct {
	bodies  [][]byte // with their locals, without their sizes
	globals [3]int64
}

func sized(b []byte) []byte { return append(leb(uint64(len(b))), b...) }

func (p program) bytes() []byte {
	n := len(p.bodies)
	code, functions, elements := leb(uint64(n)), leb(uint64(n)), leb(uint64(n))
	for i, b := range p.bodies {
		code = append(code, sized(b)...)
		functions = append(functions, 0)
		elements = append(elements, leb(uint64(i))...)
	}
	globals, exports := []byte{3}, []byte{4, 3, 'r', 'u', 'n', 0, 0}
	for i, g := range p.globals {
		globals = append(append(append(globals, 0x7e, 1, 0x42), sleb(g)...), 0x0b)
		exports = append(exports, 1, byte('a'+i), 3, byte(i))
	}
	return module(voidType, section(3, functions...), section(4, append([]byte{1, 0x70, 0}, leb(uint64(n))...)...), oneMemory,
		section(6, globals...), section(7, exports...), section(9, append([]byte{1, 0, 0x41, 0, 0x0b}, elements...)...), section(10, code...))
}

func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// run executes wasm's run and returns the globals at the end, whether it trapped,
// and the fuel it used when it is a rewritten module.
func run(t *testing.T, wasm []byte, out *wasmbin.Rewritten) (globals [3]int64, trapped bool, used int64) {
	t.Helper()
	ctx := t.Context()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	_, err := rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().
		WithFunc(func(context.Context, int32) int64 { panic("the tank was full") }).Export(wasmbin.Yield).Instantiate(ctx)
	require.NoError(t, err)
	if out != nil {
		wasm = out.Wasm
	}
	mod, err := rt.Instantiate(ctx, wasm)
	require.NoError(t, err)
	_, err = mod.ExportedFunction("run").Call(ctx)
	if err != nil {
		require.ErrorContains(t, err, "wasm error: ")
	}
	for i := range globals {
		globals[i] = int64(mod.ExportedGlobal(string(rune('a' + i))).Get())
	}
	if out != nil {
		used = fullTank - int64(fuelOf(mod).Get())
	}
	return globals, err != nil, used
}

func fill(t *testing.T, wasm []byte) *wasmbin.Rewritten {
	t.Helper()
	m, err := wasmbin.Parse(wasm)
	require.NoError(t, err)
	out, err := m.Rewrite(wasmbin.Options{MemoryPages: 16, Fuel: fullTank})
	require.NoError(t, err)
	return out
}

// Pieces of code.
var (
	tick     = []byte{0x23, 0, 0x42, 1, 0x7c, 0x24, 0}                        // global 0 += 1: four instructions
	expire   = []byte{0x23, 1, 0x42, 1, 0x7d, 0x24, 1}                        // global 1 -= 1
	expect   = append(expire, 0x23, 1, 0x42, 0, 0x53, 0x04, 0x40, 0x00, 0x0b) // and trap below zero
	leave    = append(expire, 0x23, 1, 0x50, 0x04, 0x40, 0x0f, 0x0b)          // and return at zero
	thousand = bytes.Repeat([]byte{0x41, 7, 0x1a}, 500)                       // a thousand instructions
	blocks   = bytes.Repeat([]byte{0x02, 0x40}, 3)
)

// jump sets local 0 and branches.
func jump(k, depth byte) []byte { return []byte{0x41, k, 0x21, 0, 0x0c, depth} }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestOnlyForwardJumpsThroughALoopHeadAreFree runs loops that dispatch by a
// local, as Go's do, a thousand times around. All but the first execute long
// code each time around, and come back by a branch that looks like one forward
// to whoever looks less closely.
func TestOnlyForwardJumpsThroughALoopHeadAreFree(t *testing.T) {
	const rounds = 1000
	loop := func(head, piece0, piece1, piece2 []byte) []byte {
		return cat([]byte{1, 2, 0x7f, 0x03, 0x40}, head, []byte{0x0b}, piece0, []byte{0x0b}, piece1, []byte{0x0b}, piece2, []byte{0x0b, 0x0b})
	}
	goHead := cat(blocks, []byte{0x20, 0, 0x0e, 2, 0, 1, 2})
	around := cat(leave, thousand, jump(2, 2)) // in piece 0: to piece 2, or so it seems
	for name, tc := range map[string]struct {
		code []byte
		free bool
	}{
		"Go's form":                            {loop(goHead, cat(leave, jump(1, 2)), jump(0, 1), thousand), true},
		"a jump back over long code":           {loop(goHead, cat(leave, jump(2, 2)), thousand, jump(0, 0)), false},
		"a jump into the piece it stands in":   {loop(goHead, nil, cat(leave, thousand, jump(1, 1)), nil), false},
		"a constant that is not what is set":   {loop(goHead, cat(leave, jump(2, 2)), thousand, []byte{0x41, 0, 0x41, 2, 0x1a, 0x21, 0, 0x0c, 0}), false},
		"the local set again":                  {loop(goHead, cat(leave, jump(2, 2)), thousand, []byte{0x41, 2, 0x21, 0, 0x20, 1, 0x21, 0, 0x0c, 0}), false},
		"another local set":                    {loop(goHead, cat(leave, jump(2, 2)), thousand, []byte{0x41, 0, 0x21, 0, 0x41, 2, 0x21, 1, 0x0c, 0}), false},
		"the local changed at the loop's head": {loop(cat([]byte{0x41, 0, 0x21, 0}, goHead), around, nil, nil), false},
		"the local changed within the blocks":  {loop(cat(blocks, []byte{0x41, 0, 0x21, 0, 0x20, 0, 0x0e, 2, 0, 1, 2}), around, nil, nil), false},
		"a head that asks another local":       {loop(cat(blocks, []byte{0x20, 1, 0x0e, 2, 0, 1, 2}), around, nil, nil), false},
		"a head that computes":                 {loop(cat(blocks, []byte{0x20, 0, 0x45, 0x45, 0x0e, 2, 0, 1, 2}), nil, cat(leave, thousand, jump(2, 1)), nil), false},
		"a table in descending order":          {loop(cat(blocks, []byte{0x20, 0, 0x0e, 2, 2, 1, 0}), around, nil, jump(2, 0)), false},
		"a constant beyond the table":          {loop(cat(blocks, []byte{0x20, 0, 0x0e, 2, 1, 2, 0}), cat(leave, thousand, jump(0x7f, 2)), nil, jump(0x7f, 0)), false},
	} {
		t.Run(name, func(t *testing.T) {
			out := fill(t, program{[][]byte{tc.code}, [3]int64{0, rounds, 0}}.bytes())
			globals, trapped, used := run(t, nil, out)
			require.False(t, trapped)
			require.Zero(t, globals[1], "it went round")
			if tc.free {
				require.Less(t, used, int64(100*rounds))
			} else {
				require.Greater(t, used, int64(1000*rounds))
			}
		})
	}
}

// TestCallsArePaidFor runs a thousand rounds, or a tree of as many calls, whose
// work is in functions that others may have to pay for.
func TestCallsArePaidFor(t *testing.T) {
	const rounds = 1 << 10
	body := func(code ...[]byte) []byte { return cat([]byte{0}, cat(code...), []byte{0x0b}) }
	call := func(i byte) []byte { return []byte{0x10, i} }
	callTable := func(i byte) []byte { return []byte{0x41, i, 0x11, 0, 0} }
	loop := func(code []byte) []byte { return body([]byte{0x03, 0x40}, leave, code, []byte{0x0c, 0, 0x0b}) }
	work := bytes.Repeat([]byte{0x01, 0x41, 7, 0x1a}, 25) // 75 instructions: its function is light
	tree := [][]byte{}
	for i := range byte(10) {
		tree = append(tree, body(call(i+1), call(i+1)))
	}
	for name, tc := range map[string]struct {
		bodies [][]byte
		each   int64 // instructions in one round
	}{
		"a light function in a loop":             {[][]byte{loop(call(1)), body(work)}, 75},
		"two levels of light functions":          {[][]byte{loop(call(1)), body(call(2), work), body([]byte{0x01})}, 76},
		"a light function through the table":     {[][]byte{loop(callTable(1)), body(work)}, 75},
		"a heavy function in a loop":             {[][]byte{loop(call(1)), body(thousand)}, 1000},
		"a heavy function through the table":     {[][]byte{loop(callTable(1)), body(thousand)}, 1000},
		"a function that calls itself":           {[][]byte{body(leave, work, call(0))}, 80},
		"two functions that call each other":     {[][]byte{body(leave, call(1)), body(call(0))}, 8},
		"recursion through the table":            {[][]byte{body(leave, callTable(0))}, 10},
		"recursion through the table by a third": {[][]byte{body(leave, callTable(1)), body(work, call(0))}, 85},
		"a tree of calls":                        {append(tree, body(work)), 75},
	} {
		t.Run(name, func(t *testing.T) {
			_, trapped, used := run(t, nil, fill(t, program{tc.bodies, [3]int64{0, rounds, 0}}.bytes()))
			require.False(t, trapped)
			require.GreaterOrEqual(t, used, (rounds-1)*tc.each)
			require.Less(t, used, rounds*(tc.each+1)*20, "it is not charged beyond reason")
		})
	}
}

// TestCodeBehindCallsIsPaidForAtTheEndToo: a stack full of calls that come back runs
// long after what their entries were charged for.
func TestCodeBehindCallsIsPaidForAtTheEndToo(t *testing.T) {
	const rounds = 1 << 10
	behind := cat(thousand, thousand)
	back := cat([]byte{0x41, 1, 0x04, 0x40, 0x0f, 0x0b}) // return, if 1
	for name, bodies := range map[string][][]byte{
		"a function that calls itself":   {cat([]byte{0}, leave, []byte{0x10, 0}, behind, []byte{0x0b})},
		"recursion through the table":    {cat([]byte{0}, leave, []byte{0x41, 0, 0x11, 0, 0}, behind, []byte{0x0b})},
		"by a light one and the table":   {cat([]byte{0}, leave, []byte{0x10, 1}, behind, []byte{0x0b}), {0, 0x10, 2, 0x0b}, cat([]byte{0}, []byte{0x41, 0, 0x11, 0, 0}, []byte{0x0b})},
		"a return within blocks":         {cat([]byte{0}, leave, blocks, []byte{0x10, 0}, behind, back, []byte{0x0b, 0x0b, 0x0b, 0x0b})},
		"a branch out of the function":   {cat([]byte{0}, leave, []byte{0x10, 0}, behind, []byte{0x41, 1, 0x0d, 0, 0x0b})},
		"a table of ways out, in a loop": {cat([]byte{0}, leave, []byte{0x03, 0x40, 0x10, 0}, behind, []byte{0x41, 0, 0x0e, 1, 1, 1, 0x0b, 0x0b})},
	} {
		t.Run(name, func(t *testing.T) {
			_, trapped, used := run(t, nil, fill(t, program{bodies, [3]int64{0, rounds, 0}}.bytes()))
			require.False(t, trapped)
			require.GreaterOrEqual(t, used, int64((rounds-1)*2*2000))
			require.Less(t, used, int64(rounds*2*2300))
		})
	}
}

// TestCallsThatComeBackYieldWhereThatIsWanted: functions too short to pay at their end
// yield there where they have yielded at their entry.
func TestCallsThatComeBackYieldWhereThatIsWanted(t *testing.T) {
	const rounds, slice = 1 << 10, 100
	body := cat([]byte{0}, leave, []byte{0x10, 0}, tick, []byte{0x0b}) // tick counts the calls that came back
	out := fill(t, program{[][]byte{body}, [3]int64{0, rounds, 0}}.bytes())
	for name, tc := range map[string]struct{ atEntry, longest int64 }{
		"wanted":     {-slice, 10},
		"not wanted": {slice, rounds},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			var last, longest int64 // in calls
			_, err := rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().WithFunc(func(_ context.Context, mod api.Module, atEntry int32) int64 {
				back := int64(mod.ExportedGlobal("a").Get())
				last, longest = back, max(longest, back-last)
				if atEntry != 0 {
					return tc.atEntry
				}
				return slice
			}).Export(wasmbin.Yield).Instantiate(ctx)
			require.NoError(t, err)
			mod, err := rt.Instantiate(ctx, out.Wasm)
			require.NoError(t, err)
			fuelOf(mod).Set(slice)
			_, err = mod.ExportedFunction("run").Call(ctx)
			require.NoError(t, err)
			require.Equal(t, uint64(rounds-1), mod.ExportedGlobal("a").Get())
			longest = max(longest, rounds-last)
			require.LessOrEqual(t, longest, tc.longest)
			require.Greater(t, 10*longest, tc.longest)
		})
	}
}

// TestWhatLongFunctionsReturn: a function that pays at its end leaves what it did.
func TestWhatLongFunctionsReturn(t *testing.T) {
	types := section(1, 3, 0x60, 1, 0x7f, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 2, 0x7f, 0x7e)
	callItself := []byte{0x20, 0, 0x04, 0x40, 0x41, 0, 0x10, 0xff, 0x0b} // if the parameter is not zero; 0xff: the function
	value := []byte{0x20, 0, 0x41, 10, 0x6a}                             // parameter + 10
	for name, tc := range map[string]struct {
		typ           byte
		drops, values []byte
		want          []uint64
	}{
		"one": {1, []byte{0x1a}, value, []uint64{17}},
		"two": {2, []byte{0x1a, 0x1a}, cat(value, []byte{0x42, 3}), []uint64{17, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			self := bytes.Replace(callItself, []byte{0x10, 0xff}, cat([]byte{0x10, 0}, tc.drops), 1)
			f := func(end ...byte) []byte { return cat([]byte{0}, self, thousand, tc.values, end, []byte{0x0b}) }
			for _, end := range [][]byte{nil, {0x0f}, {0x0c, 0}, {0x41, 1, 0x0d, 0}, {0x41, 1, 0x0e, 0, 0}} {
				wasm := module(types, section(3, 1, tc.typ), oneMemory, section(7, 1, 1, 'f', 0, 0), bodies(f(end...)))
				o := newOracle(t, api.CoreFeaturesV2)
				s := o.instantiate(wasm, "")
				require.False(t, s.refused)
				o.call(s, "f", []uint64{7})
				got, err := s.rewritten.ExportedFunction("f").Call(t.Context(), 7)
				require.NoError(t, err)
				require.Equal(t, tc.want, got)
			}
		})
	}
}

// TestALoadCountsMoreThanOne runs a chain of loads, each of which has its address from the
// one before. Out of all caches, each takes as long as a hundred other instructions.
func TestALoadCountsMoreThanOne(t *testing.T) {
	const loads = 1000
	f := cat([]byte{0, 0x41, 0}, bytes.Repeat([]byte{0x28, 2, 0}, loads), []byte{0x1a, 0x0b})
	_, trapped, used := run(t, nil, fill(t, program{[][]byte{f}, [3]int64{}}.bytes()))
	require.False(t, trapped)
	require.GreaterOrEqual(t, used, int64(4*loads))
}

// TestPlacesInTheFrameAreCharged: the engine takes them from the stack at the entry
// of a function, for all of its joins.
func TestPlacesInTheFrameAreCharged(t *testing.T) {
	const locals, joins = 20, 50
	set := func(zero ...byte) (b []byte) {
		for i := range byte(locals) {
			b = append(append(b, zero...), 0x21, i)
		}
		return b
	}
	vector := append([]byte{0xfd, 0x0c}, make([]byte, 16)...)
	ends := cat(bytes.Repeat([]byte{0x02, 0x40}, joins), bytes.Repeat([]byte{0x0b}, joins))
	loops := bytes.Repeat([]byte{0x03, 0x40, 0x0b}, joins/2)
	back := []byte{0x03, 0x40, 0x02, 0x40, 0x41, joins, 0x0e, joins}
	back = cat(back, bytes.Repeat([]byte{1}, joins), []byte{0, 0x0b, 0x0b})
	forward := bytes.ReplaceAll(back, []byte{0x03, 0x40}, []byte{0x02, 0x40})
	for name, tc := range map[string]struct {
		typ        byte
		zero, code []byte
		bytes      int64
	}{
		"i32 at ends of blocks":  {0x7f, []byte{0x41, 0}, ends, 4 * locals * joins},
		"i64 at ends of blocks":  {0x7e, []byte{0x42, 0}, ends, 8 * locals * joins},
		"v128 at ends of blocks": {0x7b, vector, ends, 16 * locals * joins},
		"i64 at loops":           {0x7e, []byte{0x42, 0}, loops, 8 * locals * joins},
		"i64 at branches back":   {0x7e, []byte{0x42, 0}, back, 8 * locals * joins},
		"i64 at forward ones":    {0x7e, []byte{0x42, 0}, forward, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := cat([]byte{1, locals, tc.typ}, set(tc.zero...), tc.code, []byte{0x0b})
			_, trapped, used := run(t, nil, fill(t, program{[][]byte{f}, [3]int64{}}.bytes()))
			require.False(t, trapped)
			require.InDelta(t, tc.bytes/4, used, float64(tc.bytes/16+locals*16), "a unit for four bytes")
		})
	}
}

// TestFunctionsTooHeavyAreRefused: what one call takes from the stack is bounded.
func TestFunctionsTooHeavyAreRefused(t *testing.T) {
	weigh := func(weight int) error {
		f := cat([]byte{0}, bytes.Repeat([]byte{0x01}, weight-8), []byte{0x0b}) // 8 are for the call
		_, err := rewrite(program{[][]byte{f}, [3]int64{}}.bytes())
		return err
	}
	require.NoError(t, weigh(1<<19))
	require.ErrorContains(t, weigh(1<<19+1), "make it several functions")
}

// TestALongFunctionYieldsSoonAfter: what it weighs runs after the yield at its entry, and a
// whole slice behind that would be late.
func TestALongFunctionYieldsSoonAfter(t *testing.T) {
	const slice, loops = 300_000, 200_000
	loop := cat([]byte{0x03, 0x40}, tick, []byte{0x23, 0, 0x42}, sleb(1<<19/5+loops), []byte{0x53, 0x0d, 0, 0x0b})
	for name, calls := range map[string][]byte{"a leaf": nil, "one that calls itself": {0x41, 0, 0x04, 0x40, 0x10, 0, 0x0b}} {
		t.Run(name, func(t *testing.T) {
			long := cat([]byte{0}, bytes.Repeat(tick, 1<<19/5), loop, calls, []byte{0x0b})
			m, err := wasmbin.Parse(program{[][]byte{long}, [3]int64{}}.bytes())
			require.NoError(t, err)
			out, err := m.Rewrite(wasmbin.Options{MemoryPages: 1, Fuel: slice})
			require.NoError(t, err)
			var last, most int64
			ctx := t.Context()
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			yield := func(_ context.Context, m api.Module, _ int32) int64 {
				now := int64(m.ExportedGlobal("a").Get())
				most, last = max(most, now-last), now
				return slice
			}
			_, err = rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().WithFunc(yield).Export(wasmbin.Yield).Instantiate(ctx)
			require.NoError(t, err)
			mod, err := rt.Instantiate(ctx, out.Wasm)
			require.NoError(t, err)
			_, err = mod.ExportedFunction("run").Call(ctx)
			require.NoError(t, err)
			require.Less(t, 4*most, int64(1<<19+1000), "units without a yield")
			require.Greater(t, 4*most, int64(slice))
		})
	}
}

// TestAFunctionOfManyCallsYieldsInBetween: were its light callees part of its
// own weight, it would run for a second between two checks.
func TestAFunctionOfManyCallsYieldsInBetween(t *testing.T) {
	work := cat([]byte{0}, bytes.Repeat([]byte{0x41, 7, 0x1a}, 25), []byte{0x0b})
	calls := cat([]byte{0}, bytes.Repeat([]byte{0x10, 1}, 50_000), []byte{0x0b})
	out := fill(t, program{[][]byte{calls, work}, [3]int64{}}.bytes())
	require.Equal(t, 2, bytes.Count(out.Wasm, []byte{0x42, 0, 0x59, 0x0d, 0}), "both functions have a check")
}

// TestSkeletonIsTheModuleWithoutItsCode: the engine accepts it, and finds in it
// all that it finds in the module.
func TestSkeletonIsTheModuleWithoutItsCode(t *testing.T) {
	for name, wasm := range map[string][]byte{
		"a small module": program{[][]byte{{0, 0x0b}, cat([]byte{0}, tick, []byte{0x0b})}, [3]int64{1, 2, 3}}.bytes(),
		"a Go module":    testmodule.Build(t, "../../modules/hello"),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := wasmbin.Parse(wasm)
			require.NoError(t, err)
			out, err := m.Rewrite(wasmbin.Options{MemoryPages: 1024, Fuel: fullTank})
			require.NoError(t, err)
			ctx := t.Context()
			rt := wazero.NewRuntime(ctx)
			defer rt.Close(ctx)
			require.Equal(t, interfaceOf(t, rt, out.Wasm), interfaceOf(t, rt, out.Skeleton))

			same := commonPrefix(out.Wasm, out.Skeleton)
			require.Equal(t, byte(10), out.Skeleton[same-1], "they differ from the code section on")
			functions := bytes.Count(out.Skeleton[same:], []byte{3, 0, 0x00, 0x0b})
			require.Greater(t, functions, 2)
			require.Less(t, len(out.Skeleton)-same, 4*functions+16, "and the skeleton's is traps alone")
		})
	}
}

func commonPrefix(a, b []byte) int {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return i
}

// interfaceOf says what the engine thinks a module imports and exports.
func interfaceOf(t *testing.T, rt wazero.Runtime, wasm []byte) (list []string) {
	t.Helper()
	m, err := rt.CompileModule(t.Context(), wasm)
	require.NoError(t, err)
	for _, f := range m.ImportedFunctions() {
		list = append(list, fmt.Sprint(f.ModuleName(), f.Name(), f.ParamTypes(), f.ResultTypes()))
	}
	for name, f := range m.ExportedFunctions() {
		list = append(list, fmt.Sprint(name, f.Index(), f.ParamTypes(), f.ResultTypes()))
	}
	for name, mem := range m.ExportedMemories() {
		list = append(list, fmt.Sprint(name, mem.Min()))
	}
	slices.Sort(list)
	return list
}

// generator writes random programs that count what they execute in global 0, in
// ticks, and keep a number in global 2 that all conditions come from. Global 1
// counts down at every loop head and function entry, and ends the program.
type generator struct {
	*rand.Rand
	b         []byte
	labels    []bool // from the function's own inwards: is it a loop
	functions int
}

func (g *generator) add(code ...byte) { g.b = append(g.b, code...) }

// random puts an i32 from 0 to 2^bits-1 on the stack: global 2 = global 2 * a +
// c, high bits.
func (g *generator) random(bits byte) {
	g.add(0x23, 2, 0x42)
	g.add(sleb(6364136223846793005)...)
	g.add(0x7e, 0x42)
	g.add(sleb(int64(g.Uint32()) | 1)...)
	g.add(0x7c, 0x24, 2, 0x23, 2, 0x42)
	g.add(sleb(int64(64 - bits))...)
	g.add(0x88, 0xa7)
}

func (g *generator) label() byte { return byte(g.IntN(len(g.labels))) }

// construct writes a block, loop or if around what inside writes.
func (g *generator) construct(op byte, inside func()) {
	g.add(op, 0x40)
	g.labels = append(g.labels, op == 0x03)
	inside()
	g.labels = g.labels[:len(g.labels)-1]
	g.add(0x0b)
}

func (g *generator) statements(depth int) {
	for range 1 + g.IntN(4) {
		g.statement(depth)
	}
}

func (g *generator) statement(depth int) {
	g.add(tick...)
	kind := g.IntN(12)
	if depth == 0 {
		kind = 7 + g.IntN(5)
	}
	switch kind {
	case 0, 1:
		g.construct(0x02, func() { g.statements(depth - 1) })
	case 2, 3:
		g.construct(0x03, func() { g.add(expect...); g.statements(depth - 1) })
	case 4:
		g.random(1)
		g.construct(0x04, func() { g.statements(depth - 1); g.add(0x05); g.statements(depth - 1) })
	case 5, 6:
		g.dispatch(depth - 1)
	case 7:
		g.random(1)
		g.add(0x0d, g.label())
	case 8:
		g.random(2)
		g.add(0x0e, 2, g.label(), g.label(), g.label())
	case 9:
		g.add(0x10, byte(g.IntN(g.functions)))
	case 10:
		g.add(0x41, byte(g.IntN(g.functions)), 0x11, 0, 0)
	case 11:
		g.random(1)
		g.construct(0x04, func() { g.add(0x0c, g.label()) })
	}
}

// dispatch writes a loop in Go's form, or nearly so.
func (g *generator) dispatch(depth int) {
	pieces := 1 + g.IntN(4)
	local := byte(g.IntN(2))
	g.add(0x41, byte(g.IntN(pieces)), 0x21, local)
	g.construct(0x03, func() {
		if g.IntN(4) == 0 {
			g.add(0x01)
		}
		g.pieces(pieces, pieces, local, depth)
	})
}

func (g *generator) pieces(left, all int, local byte, depth int) {
	if left == 0 {
		g.add(0x20, local, 0x0e, byte(all))
		for i := range all {
			if g.IntN(8) == 0 {
				i = g.IntN(all)
			}
			g.add(byte(i))
		}
		g.add(byte(g.IntN(all)))
		return
	}
	g.construct(0x02, func() { g.pieces(left-1, all, local, depth) })
	g.add(expect...) // the head must be that of a dispatch
	g.statements(depth)
	if g.IntN(3) > 0 {
		g.random(1)
		g.construct(0x04, func() {
			g.add(0x41, byte(g.IntN(all+1)), 0x21, local)
			if g.IntN(6) == 0 {
				g.add(0x01)
			}
			g.add(0x0c, byte(all-left+1)) // to the loop
		})
	}
}

func randomProgram(seed uint64) program {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.functions = 1 + g.IntN(5)
	p := program{globals: [3]int64{0, 2000, int64(seed)}}
	for range g.functions {
		g.b, g.labels = []byte{1, 2, 0x7f}, []bool{false}
		g.add(expect...)
		g.statements(g.IntN(5))
		p.bodies = append(p.bodies, append(g.b, 0x0b))
	}
	return p
}

// TestRandomProgramsPayForWhatTheyExecute: a rewritten program does what it did
// before, and the fuel it used covers every instruction it counted.
func TestRandomProgramsPayForWhatTheyExecute(t *testing.T) {
	var ticks, fuel int64
	for seed := range uint64(300) {
		wasm := randomProgram(seed).bytes()
		want, wantTrap, _ := run(t, wasm, nil)
		got, trapped, used := run(t, nil, fill(t, wasm))
		require.Equal(t, want, got, "seed %d", seed)
		require.Equal(t, wantTrap, trapped, "seed %d", seed)
		require.LessOrEqual(t, got[0]*4, used+100, "seed %d: a tick is four instructions, and run may be light", seed)
		ticks, fuel = ticks+got[0], fuel+used
	}
	require.Greater(t, ticks, int64(100_000), "or nothing was proven")
	t.Logf("%d ticks, %d fuel", ticks, fuel)
}

// fuelOf returns the fuel, which is the last of the mutable globals.
func fuelOf(mod api.Module) (fuel api.MutableGlobal) {
	for i := 0; ; i++ {
		g, ok := mod.ExportedGlobal(wasmbin.GlobalExport + strconv.Itoa(i)).(api.MutableGlobal)
		if !ok {
			return fuel
		}
		fuel = g
	}
}
