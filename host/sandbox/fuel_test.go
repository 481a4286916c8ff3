package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// endless is a module whose spore_serve takes the event and calls the first of
// these functions. Each is a body without its size: no parameters, no results.
// All are in the table. Function i has index firstFunc+i and is element i;
// globals 0 to 2 are an i32, an i64 and a v128.
type endless [][]byte

const firstFunc = 3 // behind get_next_request, _start and spore_serve

func (e endless) bytes() []byte {
	ask := func(ptr, size int32) []byte {
		return cat([]byte{0x41}, sleb(ptr), []byte{0x41}, sleb(size), []byte{0x10, 0, 0x1a})
	}
	bodies := [][]byte{
		cat([]byte{0}, ask(0, 0), []byte{0x0b}),
		cat([]byte{0}, ask(eventAt, eventSize), []byte{0x10, firstFunc, 0x0b}),
	}
	functions, elements := [][]byte{{1}, {1}}, [][]byte{}
	for i, f := range e {
		bodies, functions = append(bodies, f), append(functions, []byte{1})
		elements = append(elements, leb(firstFunc+i))
	}
	for i := range bodies {
		bodies[i] = sized(bodies[i])
	}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec([]byte{0x60, 2, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 0, 0})),
		section(2, vec(cat(str(abi.Module), str(abi.ImportGetNextRequest), []byte{0, 0}))),
		section(3, vec(functions...)),
		section(4, cat([]byte{1, 0x70, 0}, leb(len(e)))),
		section(5, oneMemory),
		section(6, vec([]byte{0x7f, 1, 0x41, 0, 0x0b}, []byte{0x7e, 1, 0x42, 0, 0x0b}, cat([]byte{0x7b, 0, 0xfd, 0x0c}, make([]byte, 16), []byte{0x0b}))),
		section(7, vec(cat(str(abi.ExportMemory), []byte{2, 0}), cat(str(abi.ExportStart), []byte{0, 1}), cat(str(abi.ExportServe), []byte{0, 2}))),
		section(9, vec(cat([]byte{0, 0x41, 0, 0x0b}, vec(elements...)))),
		section(10, vec(bodies...)))
}

// body is a function without locals.
func body(code ...[]byte) []byte { return cat([]byte{0}, cat(code...), []byte{0x0b}) }

func callFunc(i int) []byte  { return cat([]byte{0x10}, leb(firstFunc+i)) }
func callTable(i int) []byte { return cat([]byte{0x41}, sleb(int32(i)), []byte{0x11, 1, 0}) }

// tree is levels of functions that each call the next one twice.
func tree(levels int, call func(i int) []byte) endless {
	var e endless
	for i := range levels {
		e = append(e, body(call(i+1), call(i+1)))
	}
	return append(e, body())
}

// bounded is a function that calls the i-th twice, to a depth of 60 in global 0.
func bounded(i int) []byte {
	enter := []byte{0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x23, 0, 0x41, 60, 0x48, 0x04, 0x40} // if ++global < 60
	leave := []byte{0x0b, 0x23, 0, 0x41, 1, 0x6b, 0x24, 0}
	return body(enter, callFunc(i), callFunc(i), leave)
}

// lengthy is about as much code without a branch as a function may have.
var lengthy = body(bytes.Repeat([]byte{0x23, 0, 0x41, 3, 0x6c, 0x24, 0}, 32_000))

// largest grows memory to its limit, 1,024 pages.
var largest = cat([]byte{0x41}, sleb(1023), []byte{0x40, 0, 0x1a})

// allMemory is a bulk instruction over all of the largest memory.
func allMemory(bulk []byte) []byte {
	return cat([]byte{0x41, 0, 0x41, 0, 0x41}, sleb(64<<20), bulk)
}

// memoryLoop repeats a bulk instruction over all of the largest memory.
func memoryLoop(bulk ...byte) endless {
	return endless{body(largest, []byte{0x03, 0x40}, allMemory(bulk), []byte{0x0c, 0, 0x0b})}
}

// behindCalls calls itself to a depth of 15,000 in global 1. Behind the call are so many
// loads, each with an address that comes from the one before.
func behindCalls(loads int) []byte {
	enter := cat([]byte{0x23, 1, 0x42, 1, 0x7c, 0x24, 1, 0x23, 1, 0x42}, sleb(15_000), []byte{0x53, 0x04, 0x40})
	next := cat([]byte{0x23, 0, 0x41}, sleb(1664525), []byte{0x6c, 0x41}, sleb(1013904223), []byte{0x6a})
	load := []byte{0x23, 0, 0x41, 0xfc, 0xff, 0xff, 0x1f, 0x71, 0x28, 2, 0, 0x6a, 0x24, 0} // global 0 += at global 0 & 64 MiB - 4
	return body(enter, callFunc(1), []byte{0x0b}, bytes.Repeat(cat(next, load), loads))
}

// endlessCases are hostile functions that no deadline may fail to end, by the
// row of the attack they are.
var endlessCases = map[string]map[string]endless{
	"G1": {
		"br":                   {body([]byte{0x03, 0x40, 0x0c, 0, 0x0b})},
		"br_if":                {body([]byte{0x03, 0x40, 0x41, 1, 0x0d, 0, 0x0b})},
		"br_table":             {body([]byte{0x03, 0x40, 0x41, 5, 0x0e, 1, 1, 0, 0x0b})},
		"a dispatch to itself": {cat([]byte{1, 1, 0x7f, 0x03, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 1, 1, 1, 0x0b, 0x0b, 0x0b})},
		"dispatch":             {cat([]byte{1, 1, 0x7f, 0x03, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 0, 0, 0x0b, 0x41, 0, 0x21, 0, 0x0c, 0, 0x0b, 0x0b})},
	},
	"G2": {
		"a tree of calls":                   tree(60, callFunc),
		"a tree of calls through the table": tree(60, callTable),
		"mutual recursion":                  {bounded(1), bounded(0)},
		"a long function, called in a tree": append(tree(60, callFunc)[:60], lengthy),
		"a long function through the table": append(tree(60, callTable)[:60], lengthy),
		"long code behind calls":            {body(largest, callFunc(1)), behindCalls(8_000)},
		"a function of 100,000 short calls": append(tree(60, callFunc)[:60], body(bytes.Repeat(callFunc(61), 100_000)), body(bytes.Repeat([]byte{0x23, 0, 0x24, 0}, 40))),
	},
	"G3": {"a cheap host function": {body([]byte{0x03, 0x40, 0x41, 0, 0x41, 0, 0x10, 0, 0x1a, 0x0c, 0, 0x0b})}},
	"G4": {
		"memory.fill": memoryLoop(0xfc, 0x0b, 0),
		"memory.copy": memoryLoop(0xfc, 0x0a, 0, 0),
	},
}

// TestG1LoopsEnd and the three below it: a guest that goes on for ever is ended
// at its deadline, the collector need not wait for it, and the next one is served.
func TestG1LoopsEnd(t *testing.T)                 { endAll(t, "G1") }
func TestG2CallTreesWithoutLoopsEnd(t *testing.T) { endAll(t, "G2") }
func TestG3HostFunctionsDoNotRefill(t *testing.T) { endAll(t, "G3") }
func TestG4BulkInstructionsEnd(t *testing.T)      { endAll(t, "G4") }

// atYields counts how often the host asks whether it wants a run ended: at each
// yield, and at each call of a host function.
type atYields struct {
	context.Context
	asked int
}

func (c *atYields) Err() error {
	c.asked++
	return c.Context.Err()
}

// yields runs e, which comes to its end, and returns how often it yielded.
func yields(t *testing.T, e endless) int {
	t.Helper()
	img := prepareModule(t, e.bytes(), settings())
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	defer sb.Close()
	ctx, end := &atYields{Context: t.Context()}, time.Now().Add(20*time.Second)
	_, err = sb.Serve(ctx, &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
	require.Equal(t, abi.NoAnswer, function.KindOf(err), "it comes to its end: %v", err)
	return ctx.asked
}

// TestG2CallsThatComeBackYield: what is behind calls was paid for when they began. There
// are 290 yields on the way down, and would be none on the way back.
func TestG2CallsThatComeBackYield(t *testing.T) {
	require.Greater(t, yields(t, endless{body(largest, callFunc(1)), behindCalls(50)}), 500)
}

// TestG4OneBulkInstructionYields: a single instruction over the largest memory must
// not run on while the collector waits.
func TestG4OneBulkInstructionYields(t *testing.T) {
	for name, bulk := range map[string][]byte{"memory.fill": {0xfc, 0x0b, 0}, "memory.copy": {0xfc, 0x0a, 0, 0}} {
		t.Run(name, func(t *testing.T) {
			require.GreaterOrEqual(t, yields(t, endless{body(largest, allMemory(bulk))}), 32)
		})
	}
}

func TestG1GoLoopsEnd(t *testing.T) {
	img := prepare(t, settings())
	requireEnds(t, img, abi.Event{Path: "/spin"})
	require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
}

func endAll(t *testing.T, row string) {
	require.NotEmpty(t, endlessCases[row])
	for name, e := range endlessCases[row] {
		t.Run(name, func(t *testing.T) {
			img := prepareModule(t, e.bytes(), settings())
			for range 2 { // the second finds what the first left
				requireEnds(t, img, abi.Event{})
			}
		})
	}
}

// requireEnds serves an event that never ends, and collects meanwhile.
func requireEnds(t *testing.T, img *sandbox.Image, ev abi.Event) {
	t.Helper()
	const limit = 200 * time.Millisecond
	done := make(chan error)
	start := time.Now()
	go func() {
		_, _, err := ask(t, img, ev, limit)
		done <- err
	}()
	var collection time.Duration
	for {
		select {
		case err := <-done:
			late := time.Since(start) - limit
			t.Logf("%v after its deadline; the longest collection took %v", late, collection)
			require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
			require.Less(t, late, 2*time.Second)
			return
		default:
			before := time.Now()
			runtime.GC()
			collection = max(collection, time.Since(before))
		}
	}
}

// wide is a recursion whose frame has a place for each of many values: it keeps
// the result of each operation until after the call.
func wide(values int) []byte {
	return body([]byte{0x23, 0}, unknown(values), callFunc(0), bytes.Repeat([]byte{0x6c}, values), []byte{0x24, 0})
}

// unknown leaves values on the stack that the compiler does not know, because they come
// from a global.
func unknown(values int) (b []byte) {
	for i := range values {
		b = append(b, 0x23, 0, 0x41)
		b = append(append(b, sleb(int32(i))...), 0x6a)
	}
	return b
}

// vectors is a module whose spore_serve calls a function that hands its n v128
// parameters to itself: many bytes of stack for few instructions.
func vectors(n int) []byte {
	var gets []byte
	for i := range n {
		gets = append(append(gets, 0x20), leb(i)...)
	}
	zero := append([]byte{0xfd, 0x0c}, make([]byte, 16)...)
	ask := []byte{0x41, 0, 0x41, 0, 0x10, 0, 0x1a}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec([]byte{0x60, 2, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 0, 0}, cat([]byte{0x60}, sized(bytes.Repeat([]byte{0x7b}, n)), []byte{0}))),
		section(2, vec(cat(str(abi.Module), str(abi.ImportGetNextRequest), []byte{0, 0}))),
		section(3, []byte{3, 1, 1, 2}),
		section(5, oneMemory),
		section(7, vec(cat(str(abi.ExportMemory), []byte{2, 0}), cat(str(abi.ExportStart), []byte{0, 1}), cat(str(abi.ExportServe), []byte{0, 2}))),
		section(10, vec(sized(body(ask)), sized(body(bytes.Repeat(zero, n), []byte{0x10, 3})), sized(body(gets, []byte{0x10, 3})))))
}

// joined is a recursion whose frame has a place for each of many locals at each of
// many joins, behind blocks within each other or at branches back to a loop.
type joined struct {
	locals, joins int
	vectors, back bool
}

func (j joined) bytes() []byte {
	typ, get, store := byte(0x7e), []byte{0x23, 1}, []byte{0x37, 3, 0}
	if j.vectors {
		typ, get, store = 0x7b, []byte{0x23, 2}, []byte{0xfd, 0x0b, 4, 0}
	}
	f := cat([]byte{1}, leb(j.locals), []byte{typ})
	each := func(code ...[]byte) {
		for l := range j.locals {
			for _, c := range code {
				f = append(f, c...)
			}
			f = append(f, leb(l)...)
		}
	}
	if j.back {
		f = append(f, 0x03, 0x40)
		each([]byte{0x20}) // around by one: all are moved by way of others
		f = append(f, 0x21)
		f = append(f, leb(0)...)
		for l := j.locals - 1; l > 0; l-- {
			f = append(append(f, 0x21), leb(l)...)
		}
		f = append(f, 0x02, 0x40, 0x23, 0, 0x0e)
		f = append(append(append(f, leb(j.joins)...), 0), bytes.Repeat([]byte{1}, j.joins)...)
		f = append(f, 0x0b, 0x0b)
	} else {
		f = append(f, bytes.Repeat([]byte{0x02, 0x40}, j.joins)...)
		f = append(f, 0x23, 0, 0x04, 0x40)
		for way := range 2 {
			each(get, []byte{0x21})
			f = append(append(f, 0x23, 0, 0x0e), leb(j.joins-1)...)
			for k := range j.joins {
				f = append(f, leb(k+1)...)
			}
			f = append(f, []byte{0x05, 0x0b}[way])
		}
		f = append(append(f, 0x00), bytes.Repeat([]byte{0x0b}, j.joins)...)
	}
	f = append(f, callFunc(0)...)
	for l := range j.locals {
		f = append(append(append(f, 0x41, 0, 0x20), leb(l)...), store...)
	}
	return endless{append(f, 0x0b)}.bytes()
}

// TestG8RecursionEndsInLittleMemory: recursion without end is a trap, long before
// the engine's own limit.
func TestG8RecursionEndsInLittleMemory(t *testing.T) {
	for name, wasm := range map[string][]byte{
		"direct":                  endless{body(callFunc(0))}.bytes(),
		"mutual":                  endless{body(callFunc(1)), body(callFunc(0), []byte{0x23, 0, 0x24, 0})}.bytes(),
		"through the table":       endless{body(callTable(0))}.bytes(),
		"by a light one":          endless{body(callTable(1)), body(callFunc(0))}.bytes(),
		"a thousand values":       endless{wide(1000)}.bytes(),
		"twenty thousand values":  endless{wide(20_000)}.bytes(),
		"a hundred thousand":      endless{wide(100_000)}.bytes(),
		"five hundred parameters": vectors(500),
		"a few locals at joins":   joined{locals: 20, joins: 20}.bytes(),
		"locals at joins":         joined{locals: 200, joins: 200}.bytes(),
		"a few vectors at joins":  joined{locals: 60, joins: 60, vectors: true}.bytes(),
		"vectors at joins":        joined{locals: 170, joins: 170, vectors: true}.bytes(),
		"many vectors at joins":   joined{locals: 350, joins: 350, vectors: true}.bytes(),
		"locals that go around":   joined{locals: 100, joins: 500, back: true}.bytes(),
		"vectors that go around":  joined{locals: 100, joins: 300, vectors: true, back: true}.bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			img := prepareModule(t, wasm, settings())
			var err error
			var kinds []abi.Kind
			peak := peakMemory(t, func() {
				_, _, err = ask(t, img, abi.Event{}, 10*time.Second)
				kinds = append(kinds, function.KindOf(err))
			})
			require.Equal(t, []abi.Kind{abi.Trapped}, kinds, "%v", err)
			require.ErrorContains(t, err, "recursion")
			t.Logf("%d KiB more resident memory", peak>>10)
			require.Less(t, peak, int64(8<<20))
		})
	}
}

// TestX2ADeepStackIsMemoryToo: fifty recursions took 250 MiB that were in no budget.
func TestX2ADeepStackIsMemoryToo(t *testing.T) {
	recursion := endless{body(callFunc(0))}.bytes()
	for memory, kind := range map[int64]abi.Kind{8 << 20: abi.Trapped, 2 << 20: abi.OutOfMemory} {
		img, err := openEngine(t, sandbox.Options{Memory: memory}).Prepare(t.Context(), recursion, capable())
		require.NoError(t, err)
		defer img.Close()
		for range 10 { // all is given back
			_, _, err := ask(t, img, abi.Event{}, 10*time.Second)
			require.Equal(t, kind, function.KindOf(err), "of %d bytes: %v", memory, err)
		}
	}
}

// TestG8ALargeStackIsNotKept: two calls make the engine's stack large, which keeps it for
// the next event, and no yield sees both.
func TestG8ALargeStackIsNotKept(t *testing.T) {
	self := len(handmade{}.functions()) + 1
	for values, kept := range map[int]bool{100: true, 20_000: true, 30_000: false} {
		enter := cat(unknown(values), []byte{0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x23, 0, 0x41, 2, 0x48, 0x04, 0x40, 0x10}, leb(self), []byte{0x05}) // if ++global 0 < 2: itself; else
		leave := cat([]byte{0x0b}, bytes.Repeat([]byte{0x6c}, values-1), []byte{0x24, 1})
		number := []byte{0x7f, 1, 0x41, 0, 0x0b}
		img := handmade{globals: [][]byte{number, number}, serve: []step{raw(enter...), take(anyResult), respond(), raw(leave...)}}.prepare(t, capable())
		_, stats, err := ask(t, img, abi.Event{}, 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, kept, stats.DirtyPages >= 0, "with %d values in the frame", values)
	}
}

// TestG6ReferencesMadeInCodeAreRefused: the engine would keep each, in memory that is
// not the guest's.
func TestG6ReferencesMadeInCodeAreRefused(t *testing.T) {
	loop := endless{body([]byte{0x03, 0x40, 0xd2, firstFunc, 0x1a, 0x0c, 0, 0x0b})}
	peak := peakMemory(t, func() {
		img, err := openEngine(t, sandbox.Options{Directory: t.TempDir()}).Prepare(t.Context(), loop.bytes(), settings())
		if err == nil {
			defer img.Close()
			_, _, _ = ask(t, img, abi.Event{}, time.Second)
		}
		require.ErrorContains(t, err, "ref.func")
		require.Equal(t, abi.Invalid, function.KindOf(err))
	})
	require.Less(t, peak, int64(16<<20))
}

// TestG8FramesTooLargeAreRefused: one call of these would be beyond any limit
// before the host sees it.
func TestG8FramesTooLargeAreRefused(t *testing.T) {
	for name, wasm := range map[string][]byte{
		"vectors at joins":       joined{locals: 400, joins: 400, vectors: true}.bytes(),
		"many vectors at joins":  joined{locals: 1000, joins: 290, vectors: true}.bytes(),
		"vectors that go around": joined{locals: 300, joins: 2000, vectors: true, back: true}.bytes(),
		"values":                 endless{wide(150_000)}.bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openEngine(t, sandbox.Options{}).Prepare(t.Context(), wasm, settings())
			require.Equal(t, abi.Invalid, function.KindOf(err), "%v", err)
			require.ErrorContains(t, err, "a function of weight")
		})
	}
}

func TestG8GoRecursionEnds(t *testing.T) {
	img := prepare(t, settings())
	var err error
	peak := peakMemory(t, func() { _, _, err = ask(t, img, abi.Event{Path: "/recurse"}, 10*time.Second) })
	require.Equal(t, abi.Trapped, function.KindOf(err), "%v", err)
	t.Logf("%d KiB more resident memory, the guest's own included", peak>>10)
	require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
}

// TestGoRecursionMayBeDeep is what a guest can rely on.
func TestGoRecursionMayBeDeep(t *testing.T) {
	img := prepare(t, settings())
	for _, depth := range []int{1000, 8000} {
		_, _, err := ask(t, img, abi.Event{Path: "/descend", Body: []byte(strconv.Itoa(depth))}, 5*time.Second)
		require.NoError(t, err, "%d calls deep", depth)
	}
}

// peakMemory returns by how much the process's resident memory rose at most
// while f ran.
func peakMemory(t *testing.T, f func()) int64 {
	t.Helper()
	debug.FreeOSMemory()
	if os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) != nil {
		t.Skip("resets the peak of resident memory through /proc, which is not here")
	}
	before := memoryLine(t, "VmRSS:")
	f()
	return memoryLine(t, "VmHWM:") - before
}

// memoryLine returns a line of /proc/self/status in bytes.
func memoryLine(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	lines := strings.Split(string(status), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) })
	require.GreaterOrEqual(t, i, 0, name)
	var kib int64
	_, err = fmt.Sscan(strings.TrimPrefix(lines[i], name), &kib)
	require.NoError(t, err)
	return kib << 10
}

// TestG1AHundredLoopsAtOnceEnd: each has a turn of a millisecond, and nobody's end may
// wait for the turns of all others.
func TestG1AHundredLoopsAtOnceEnd(t *testing.T) {
	const each, limit = 50, time.Second
	e := openEngine(t, sandbox.Options{Cores: 2})
	late := make(chan time.Duration, 2*each)
	for _, wasm := range [][]byte{endlessCases["G1"]["br"].bytes(), testmodule.Build(t, "testdata/probe")} {
		img, err := e.Prepare(t.Context(), wasm, settings())
		require.NoError(t, err)
		t.Cleanup(img.Close)
		for range each {
			go func() {
				sb, err := img.Open(t.Context())
				if err != nil {
					late <- time.Hour
					return
				}
				defer sb.Close()
				end := time.Now().Add(limit)
				_, err = sb.Serve(t.Context(), &abi.Event{Path: "/spin"}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
				if function.KindOf(err) != abi.Deadline {
					late <- time.Hour
					return
				}
				late <- time.Since(end)
			}()
		}
	}
	var all []time.Duration
	for range 2 * each {
		all = append(all, <-late)
	}
	slices.Sort(all)
	t.Logf("after their deadlines: median %v, longest %v", all[each], all[2*each-1])
	require.Less(t, all[2*each-1], 2*time.Second)
}

// TestARunThatIsLateDoesNotBegin: an event that has waited for a core until its deadline
// has no use of one, and its instance is as good as new.
func TestARunThatIsLateDoesNotBegin(t *testing.T) {
	const vector, text = 0x1000, 0x1010
	guest := handmade{
		data:  map[uint32][]byte{vector: {0x10, 0x10, 0, 0, 5, 0, 0, 0}, text: []byte("here\n")},
		serve: []step{call("fd_write", 0, 1, vector, 1, 0), take(anyResult), respond()},
	}
	var log logged
	s := capable()
	s.Log = log.take
	img := guest.prepare(t, s)
	_, stats, err := ask(t, img, abi.Event{}, -time.Millisecond)
	require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
	require.Zero(t, stats.DirtyPages, "its instance serves another one")
	require.Zero(t, log.lines)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	end := time.Now().Add(time.Minute)
	_, err = sb.Serve(ctx, &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
	sb.Close()
	require.Equal(t, abi.NotReady, function.KindOf(err), "%v", err)
	require.Zero(t, log.lines)

	_, _, err = ask(t, img, abi.Event{}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, log.lines)
}
