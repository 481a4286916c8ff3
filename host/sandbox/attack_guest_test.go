package sandbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// TestG5SleepersAreReleasedAtTheDeadline has a thousand Go guests sleep for an
// hour at once.
func TestG5SleepersAreReleasedAtTheDeadline(t *testing.T) {
	const sleepers = 1000
	img := prepare(t, settings())
	text(t, img, "/count") // the image is in memory
	goroutines := runtime.NumGoroutine()
	before := atRest(t, "RssAnon")
	end := time.Now().Add(3 * time.Second)
	var released, early atomic.Int64
	var guests sync.WaitGroup
	for range sleepers {
		guests.Go(func() {
			sb, err := img.Open(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer sb.Close()
			_, err = sb.Serve(t.Context(), &abi.Event{Path: "/sleep"}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
			if function.KindOf(err) == abi.Deadline {
				released.Add(1)
			}
			if time.Now().Before(end) {
				early.Add(1)
			}
		})
	}
	var most int64
	for range time.Tick(10 * time.Millisecond) {
		most = max(most, processMemory(t, "RssAnon")-before)
		if time.Now().After(end) {
			break
		}
	}
	guests.Wait()
	late := time.Since(end)
	t.Logf("%d KiB a sleeper; all were gone %v after the deadline", most/sleepers>>10, late)
	require.Less(t, late, 5*time.Second, "an hour is not waited for, and a thousand take their turns")
	require.Equal(t, int64(sleepers), released.Load())
	require.Zero(t, early.Load())
	require.Less(t, most, int64(sleepers)<<20, "a sleeper costs less than 1 MiB")
	require.Less(t, atRest(t, "RssAnon")-before, int64(64<<20))
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 }, 5*time.Second, time.Millisecond)
}

// fillAllMemory grows by a page and fills it, until it is refused.
var fillAllMemory = raw(cat([]byte{0x03, 0x40, // loop
	0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x04, 0x40, // memory.grow 1 != -1; if
	0x3f, 0, 0x41, 16, 0x74, 0x41}, sleb(1<<16), []byte{0x6b, 0x41, 1, 0x41}, sleb(1<<16), []byte{0xfc, 0x0b, 0, // memory.fill
	0x0c, 1, 0x0b, 0x0b})...) // br 1; end; end

// TestX2AllSandboxesTogetherHaveABudget: what one leaves of it is what the next may open
// and grow by, and all of it comes back.
func TestX2AllSandboxesTogetherHaveABudget(t *testing.T) {
	const budget, limit = 48 << 20, 32 << 20
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Memory: budget, Idle: time.Nanosecond})
	prepareHere := func(wasm []byte, s sandbox.Settings) *sandbox.Image {
		img, err := e.Prepare(t.Context(), wasm, s)
		require.NoError(t, err)
		t.Cleanup(img.Close)
		return img
	}
	s := capable()
	s.MemoryMax = limit
	bomb := prepareHere(handmade{serve: []step{take(anyResult), fillAllMemory, raw(0x00)}}.bytes(), s)
	small, another := prepareHere(testmodule.Build(t, "testdata/probe"), settings()), settings()
	another.Name = "another"
	other := prepareHere(testmodule.Build(t, "testdata/probe"), another)
	explode := func() error {
		_, _, err := ask(t, bomb, abi.Event{}, 20*time.Second)
		return err
	}
	fill := func() (open []*sandbox.Sandbox) {
		for {
			sb, err := small.Open(t.Context())
			if err != nil {
				require.Equal(t, abi.Overloaded, function.KindOf(err))
				require.ErrorContains(t, err, "raise memory under [host]")
				return open
			}
			open = append(open, sb)
		}
	}
	require.ErrorContains(t, explode(), "the memory limit was reached", "its own comes first")
	open := fill()
	require.Greater(t, len(open), 2)
	require.Equal(t, "1", text(t, other, "/count"), "who has less finds some")
	open[0].Close()
	err := explode()
	require.Equal(t, abi.OutOfMemory, function.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "raise memory under [host]")
	for _, sb := range open[1:] {
		sb.Close()
	}
	require.ErrorContains(t, explode(), "the memory limit was reached")
	again := fill()
	require.Len(t, again, len(open))
	for _, sb := range again {
		sb.Close()
	}
	sandbox.Sweep(e)
	require.False(t, small.Resident(), "whom it had none for does not count as its user")
}

// TestX2WhatFindsNoRoomEverIsRefused: a function that begins with more than one may ever have would answer nothing but 503.
func TestX2WhatFindsNoRoomEverIsRefused(t *testing.T) {
	dir := t.TempDir()
	wasm := bytes.Replace(answering(), section(5, oneMemory), section(5, []byte{1, 0, 32}), 1) // 2 MiB
	s := capable()
	s.MemoryMax = 4 << 20
	prepare := func(budget int64) error {
		img, err := openEngine(t, sandbox.Options{Directory: dir, Memory: budget}).Prepare(t.Context(), wasm, s)
		if err != nil {
			return err
		}
		defer img.Close()
		_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
		return err
	}
	refused := func() {
		err := prepare(5 << 19)
		require.Equal(t, abi.Invalid, function.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "begins with 2 MiB, and one function may have three quarters of the 2 MiB for all sandboxes; raise memory under [host]")
	}
	refused()
	require.NoError(t, prepare(3<<20))
	refused() // also where its snapshot is there
}

// TestX2AMemoryForWhichThereIsNoRoomIsNotMade: a module of 530 bytes may begin with 4 GiB.
func TestX2AMemoryForWhichThereIsNoRoomIsNotMade(t *testing.T) {
	wasm := bytes.Replace(answering(), section(5, oneMemory), section(5, cat([]byte{1, 0}, leb(65_000))), 1)
	s := capable()
	s.MemoryMax = 4 << 30
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Memory: 64 << 20})
	most, _ := rise(t, func() {
		_, err := e.Prepare(t.Context(), wasm, s)
		require.Equal(t, abi.Invalid, function.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "raise memory under [host]")
	})
	require.Less(t, most, int64(64<<20))
}

// TestX2WhatIsBeingDeployedIsInTheBudget from its first page on.
func TestX2WhatIsBeingDeployedIsInTheBudget(t *testing.T) {
	const mib = 1 << 20
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Memory: 48 * mib})
	of := func(pages int) []byte {
		return bytes.Replace(answering(), section(5, oneMemory), section(5, cat([]byte{1, 0}, leb(pages))), 1)
	}
	s := capable()
	s.MemoryMax = 32 * mib
	img, err := e.Prepare(t.Context(), of(512), s)
	require.NoError(t, err)
	defer img.Close()
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	_, err = e.Prepare(t.Context(), of(511), s)
	require.Equal(t, abi.Overloaded, function.KindOf(err), "%v", err)
	sb.Close()
	for range 2 { // and is given back
		img, err := e.Prepare(t.Context(), of(511), s)
		require.NoError(t, err)
		img.Close()
		s.Name += "-again"
	}
}

// TestX2ADeployThatFindsNoMemoryMayBeTriedAgain is told from one whose module is wrong.
func TestX2ADeployThatFindsNoMemoryMayBeTriedAgain(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Memory: 32 << 20})
	s := settings()
	s.MemoryMax = 32 << 20
	var images []*sandbox.Image
	for _, s.Name = range []string{"a", "b", "c", "d"} { // each leaves some of what there is
		img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), s)
		require.NoError(t, err)
		defer img.Close()
		images = append(images, img)
	}
	var open []*sandbox.Sandbox
	for _, img := range images {
		for {
			sb, err := img.Open(t.Context())
			if err != nil {
				break
			}
			open = append(open, sb)
		}
	}
	s.Name = "another"
	_, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), s)
	require.Equal(t, abi.Overloaded, function.KindOf(err), "%v", err)
	for _, sb := range open {
		sb.Close()
	}
	another, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), s)
	require.NoError(t, err)
	another.Close()
}

// TestX2ATableIsMemoryToo, which is the engine's and of every instance.
func TestX2ATableIsMemoryToo(t *testing.T) {
	const entries, budget, least = 200_000, 64 << 20, 8_000_000
	table := func(elements int) []byte {
		m := handmade{serve: []step{take(anyResult), respond()}, table: [][]byte{cat([]byte{0x70, 0}, leb(entries))}}
		main := []byte{byte(len(m.functions()))}
		m.elements = [][]byte{cat([]byte{0, 0x41, 0, 0x0b}, leb(elements), bytes.Repeat(main, elements))}
		return m.bytes()
	}
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Memory: budget})
	for name, tc := range map[string]struct{ elements, most, idle int }{
		"empty":  {1, budget / (8 * entries), 20},
		"filled": {entries, budget / least, 4},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := e.Prepare(t.Context(), table(tc.elements), capable())
			require.NoError(t, err)
			defer img.Close()
			var open []*sandbox.Sandbox
			end := time.Now().Add(time.Minute)
			for {
				sb, err := img.Open(t.Context())
				if err != nil {
					require.ErrorContains(t, err, "the memory for all sandboxes")
					break
				}
				open = append(open, sb)
				require.LessOrEqual(t, len(open), tc.most)
			}
			for _, sb := range open {
				_, err := sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
				require.NoError(t, err)
				sb.Close()
			}
			require.Positive(t, sandbox.Idle(img))
			require.LessOrEqual(t, sandbox.Idle(img), tc.idle)
		})
	}
}

// TestG6ARefusedGrowthIsOfItsEvent: what the next one ends by is not the memory that this
// one wanted.
func TestG6ARefusedGrowthIsOfItsEvent(t *testing.T) {
	const which = 0x600
	var now int64
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Now: func() time.Time { return time.Unix(0, now) }})
	guest := handmade{serve: []step{call("clock_time_get", 0, 0, 0, which)}}
	guest.serve = append(guest.serve, when(which, 1, []step{take(anyResult), grow(16, -1), respond()})...)
	guest.serve = append(guest.serve, raw(0x00))
	img, err := e.Prepare(t.Context(), guest.bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	for range 2 {
		now = 1
		_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
		require.NoError(t, err)
		now = 2
		_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
		require.Equal(t, abi.Trapped, function.KindOf(err), "%v", err)
	}
}

// TestX2IdleInstancesHoldNoAnswers, which are 6 MiB each.
func TestX2IdleInstancesHoldNoAnswers(t *testing.T) {
	const at, size, guests = 0x10000, abi.MaxBody, 8
	prefix, ptr, length := answerWith(size, at)
	s := capable()
	s.MemoryMax = 8 << 20
	img := handmade{min: 98, data: map[uint32][]byte{uint32(ptr): prefix}, serve: []step{take(anyResult), call(abi.ImportSendResponse, 0, ptr, length)}}.prepare(t, s)
	require.NoError(t, img.Wake(t.Context()))
	heap := func() int64 { // the process's memory would have what the guests' mappings show of the snapshot
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	var open []*sandbox.Sandbox
	end := time.Now().Add(time.Minute)
	for range guests {
		sb, err := img.Open(t.Context())
		require.NoError(t, err)
		open = append(open, sb)
	}
	for _, sb := range open {
		_, err := sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) { require.Len(t, res.Body, size) })
		require.NoError(t, err)
		sb.Close()
	}
	require.Equal(t, guests, sandbox.Idle(img))
	require.Less(t, heap()-before, int64(guests*size/2))
}

// TestG6MemoryIsBoundedByTheLimitTimesTheGuests lets several guests at once
// allocate until they are refused.
func TestG6MemoryIsBoundedByTheLimitTimesTheGuests(t *testing.T) {
	if raced() {
		t.Skip("the race detector takes memory too")
	}
	const limit, guests, slack = 32 << 20, 4, 32 << 20
	ofGo, byHand := settings(), capable()
	ofGo.MemoryMax, byHand.MemoryMax = limit, limit
	for name, tc := range map[string]struct {
		img  *sandbox.Image
		path string
		want abi.Kind
	}{
		"a Go guest that appends":      {prepare(t, ofGo), "/grow", abi.OutOfMemory},
		"memory.grow until it is -1":   {handmade{serve: []step{take(anyResult), fillAllMemory, respond()}}.prepare(t, byHand), "", abi.None},
		"memory.grow, and then a trap": {handmade{serve: []step{take(anyResult), fillAllMemory, raw(0x00)}}.prepare(t, byHand), "", abi.OutOfMemory},
	} {
		t.Run(name, func(t *testing.T) {
			most, left := rise(t, func() {
				var wg sync.WaitGroup
				for range guests {
					wg.Go(func() {
						for range 5 {
							if _, _, err := ask(t, tc.img, abi.Event{Path: tc.path}, 20*time.Second); function.KindOf(err) != tc.want {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
			require.Greater(t, most, int64(limit/2), "or this test proves nothing")
			require.Less(t, most, int64(guests*limit+slack))
			require.Less(t, left, int64(slack))
		})
	}
}

// withTable is a guest with a table of four entries, of which the first is a
// function of type () -> i64. Type is the index of () -> ().
func withTable(serve func(typ byte) []step) handmade {
	guest := handmade{serve: serve(0)}
	first := byte(len(guest.functions()))
	guest.serve = serve(first)
	guest.table = [][]byte{{0x70, 0, 4}}
	guest.elements = [][]byte{cat([]byte{0, 0x41, 0, 0x0b}, vec([]byte{first + 2}))}
	return guest
}

// TestG9TrapsEndTheEventAndTheInstance: each kind of trap is the event's error,
// its instance is thrown away, and the next event finds nothing of it.
func TestG9TrapsEndTheEventAndTheInstance(t *testing.T) {
	const mark, which = 0x6000, 0x600
	smallest := sleb(math.MinInt32)
	indirect := func(entry byte) func(byte) []byte {
		return func(typ byte) []byte { return []byte{0x41, entry, 0x11, typ, 0} }
	}
	code := func(code ...byte) func(byte) []byte { return func(byte) []byte { return code } }
	var clock atomic.Int64
	e := openEngine(t, sandbox.Options{Now: func() time.Time { return time.Unix(0, clock.Load()) }})
	for name, trap := range map[string]func(typ byte) []byte{
		"unreachable":                          code(0x00),
		"i32.div_s by zero":                    code(0x41, 1, 0x41, 0, 0x6d, 0x1a),
		"i32.rem_u by zero":                    code(0x41, 1, 0x41, 0, 0x70, 0x1a),
		"i64.div_s by zero":                    code(0x42, 1, 0x42, 0, 0x7f, 0x1a),
		"i32.div_s that overflows":             code(cat([]byte{0x41}, smallest, []byte{0x41, 0x7f, 0x6d, 0x1a})...),
		"i32.trunc_f32_s of NaN":               code(0x43, 0, 0, 0xc0, 0x7f, 0xa8, 0x1a),
		"i32.trunc_f32_s of infinity":          code(0x43, 0, 0, 0x80, 0x7f, 0xa8, 0x1a),
		"i64.trunc_f64_s of a great number":    code(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x7e, 0xb0, 0x1a),
		"a load at -1":                         code(0x41, 0x7f, 0x28, 2, 0, 0x1a),
		"a load that begins inside":            code(cat([]byte{0x41}, sleb(memorySize-3), []byte{0x28, 2, 0, 0x1a})...),
		"a load with an offset that wraps":     code(0x41, 1, 0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a),
		"a store past the end":                 code(cat([]byte{0x41}, sleb(memorySize), []byte{0x41, 1, 0x3a, 0, 0})...),
		"a memory.fill past the end":           code(cat([]byte{0x41}, sleb(memorySize-1), []byte{0x41, 1, 0x41, 2, 0xfc, 0x0b, 0})...),
		"a memory.copy from past the end":      code(cat([]byte{0x41, 0, 0x41}, sleb(memorySize-1), []byte{0x41, 2, 0xfc, 0x0a, 0, 0})...),
		"call_indirect of another type":        indirect(0),
		"call_indirect of an empty entry":      indirect(1),
		"call_indirect past the table's end":   indirect(4),
		"call_indirect of an entry of -1":      indirect(0x7f),
		"call_indirect of the greatest number": indirect(0x40), // -64
	} {
		t.Run(name, func(t *testing.T) {
			guest := withTable(func(typ byte) []step {
				return slices.Concat([]step{load(mark, 0), store(mark, 1), call("clock_time_get", 0, 0, 0, which)},
					when(which, 1, []step{raw(trap(typ)...)}), []step{take(anyResult), respond()})
			})
			img, err := e.Prepare(t.Context(), guest.bytes(), capable())
			require.NoError(t, err)
			defer img.Close()
			for range 3 {
				clock.Store(1)
				dropped := e.Restores().Dropped
				_, stats, err := ask(t, img, abi.Event{}, 5*time.Second)
				require.Equal(t, abi.Trapped, function.KindOf(err), "%v", err)
				require.NotContains(t, err.Error(), "goroutine", "the stack is not in the message")
				require.Equal(t, -1, stats.DirtyPages)
				require.Equal(t, dropped+1, e.Restores().Dropped, "the instance was thrown away")
				clock.Store(0)
				res, _, err := ask(t, img, abi.Event{}, 5*time.Second)
				require.NoError(t, err)
				require.Equal(t, "made by hand", string(res.Body))
			}
		})
	}
	t.Run("misaligned atomics cannot be loaded", func(t *testing.T) {
		guest := handmade{serve: []step{raw(0x41, 1, 0xfe, 0x10, 2, 0, 0x1a)}} // i32.atomic.load at 1
		_, err := e.Prepare(t.Context(), guest.bytes(), capable())
		require.Equal(t, abi.Invalid, function.KindOf(err), "%v", err)
	})
}

// TestG10EndsOfTheProcess: whatever a guest does to its own process is a typed
// error, and what it said stands in its log.
func TestG10EndsOfTheProcess(t *testing.T) {
	var mu sync.Mutex
	var said strings.Builder
	s := settings()
	s.Log = func(_ string, rec abi.LogRecord) {
		mu.Lock()
		defer mu.Unlock()
		said.WriteString(rec.Message + "\n")
	}
	img := prepare(t, s)
	for path, want := range map[string]struct {
		kind      abi.Kind
		err, logs string
	}{
		"/exit":     {abi.Exited, "status 7", ""},
		"/panic":    {abi.GuestError, "handler lost its way", ""},
		"/map":      {abi.Exited, "status 2: fatal error: concurrent map writes", "fatal error: concurrent map writes"},
		"/unlock":   {abi.Exited, "status 2: fatal error: sync: unlock of unlocked mutex", "fatal error: sync: unlock of unlocked mutex"},
		"/deadlock": {abi.Exited, "status 2: fatal error: all goroutines are asleep - deadlock!", "fatal error: all goroutines are asleep"},
	} {
		t.Run(path[1:], func(t *testing.T) {
			said.Reset()
			_, stats, err := ask(t, img, abi.Event{Path: path}, 5*time.Second)
			require.Equal(t, want.kind, function.KindOf(err), "%v", err)
			require.ErrorContains(t, err, want.err)
			require.Contains(t, said.String(), want.logs)
			require.False(t, stats.Answered)
			require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
		})
	}
	t.Run("proc_exit of zero", func(t *testing.T) {
		_, err := handmade{serve: []step{take(anyResult), call(procExit, noResult, 0)}}.serveOnce(t, abi.Event{})
		require.Equal(t, abi.Exited, function.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "status 0")
	})
}

// repeat is a loop that does steps n times. The count is kept in memory.
func repeat(m handmade, n int32, steps []step) step {
	const at = 0x1f00
	counter := func(code ...byte) []byte { return cat([]byte{0x41}, sleb(at), code) }
	return raw(cat([]byte{0x03, 0x40}, m.code(steps),
		counter(), counter(0x28, 2, 0), []byte{0x41, 1, 0x6a, 0x36, 2, 0}, // count++
		counter(0x28, 2, 0, 0x41), sleb(n), []byte{0x48, 0x0d, 0, 0x0b})...) // if count < n continue
}

// TestG11FloodsOfOutputCostTheHostNothing writes gigabytes, whole lines and a
// line that never ends, to both streams and as records.
func TestG11FloodsOfOutputCostTheHostNothing(t *testing.T) {
	const vector, lines = 0x1000, 0x10000
	writes := int32(times(1<<10, 64<<10)) // of 64 KiB
	to := func(stream int32) step { return call("fd_write", 0, stream, vector, 1, 0) }
	record := abi.AppendLogRecord(nil, &abi.LogRecord{Message: strings.Repeat("m", 60<<10)})
	for name, tc := range map[string]struct {
		steps []step
		data  []byte
		least int // lines that were written
	}{
		"stdout":             {[]step{to(1)}, bytes.Repeat([]byte("a line\n"), 9000), int(writes) * 9000},
		"stderr":             {[]step{to(2)}, bytes.Repeat([]byte("a line\n"), 9000), int(writes) * 9000},
		"an endless line":    {[]step{to(1), to(2)}, bytes.Repeat([]byte("x"), 63000), int(writes) * 2 * 63000 / (8 << 10)},
		"nothing but breaks": {[]step{to(1), to(2)}, bytes.Repeat([]byte("\n"), 63000), 0},
		"records":            {[]step{call(abi.ImportLog, 0, lines, int32(len(record)))}, record, int(writes)},
	} {
		t.Run(name, func(t *testing.T) {
			guest := handmade{
				data: map[uint32][]byte{lines: tc.data, vector: binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, lines), uint32(len(tc.data)))},
				min:  2,
			}
			guest.serve = append([]step{take(anyResult)}, tc.steps...) // so that repeat knows the functions
			guest.serve = append(guest.serve, repeat(guest, writes, tc.steps), respond())
			var got logged
			s := capable()
			s.Log = got.take
			img := guest.prepare(t, s)
			most, _ := rise(t, func() {
				_, _, err := ask(t, img, abi.Event{}, 10*time.Minute)
				require.NoError(t, err)
			})
			require.LessOrEqual(t, got.bytes, 64<<10)
			require.GreaterOrEqual(t, got.lines+got.dropped, tc.least, "what is dropped is counted")
			require.Less(t, most, int64(64<<20))
		})
	}
}

// FuzzG14Pointers gives every host function arguments from all of the address
// space. The guest goes on, whatever it asked for: no call panics in the host or
// reaches past the memory.
func FuzzG14Pointers(f *testing.F) {
	const at, size = 0x700, 8 + 9*8
	names := slices.Clone(imports)
	for _, name := range append(slices.Clone(offered), "path_open") {
		names = append(names, hostFunc{name, wasi[name]})
	}
	guest := handmade{serve: []step{take(anyResult), call(abi.ImportBodyRead, size, at, size, 0)}}
	for i, fn := range names {
		var code []byte
		for j, typ := range fn.params {
			load := byte(0x28)
			if typ == 'I' {
				load = 0x29
			}
			code = append(append(append(code, 0x41), sleb(int32(at+8+8*j))...), load, 2, 0)
		}
		code = append(append(code, 0x10), leb(i)...) // call
		if fn.name != procExit {
			code = append(code, 0x1a) // drop
		}
		guest.serve = append(guest.serve, when(at, int32(i), []step{raw(code...), respond().as(anyResult)})...)
	}
	guest.serve = append(guest.serve, respond(), raw(0x0f)) // return
	for _, fn := range names[len(imports):] {               // never called here, but imported
		want := int32(anyResult)
		if fn.name == procExit {
			want = noResult
		}
		guest.serve = append(guest.serve, call(fn.name, want, make([]int32, len(fn.params))...))
	}
	img, err := openEngine(f, sandbox.Options{Directory: f.TempDir()}).Prepare(f.Context(), guest.bytes(), capable())
	require.NoError(f, err)
	defer img.Close()
	corners := []uint64{0, 1, 8, resultAt, errorAt, logAt, httpAt, nameAt, eventAt, memorySize - 1, memorySize, math.MaxInt32, 1 << 31, math.MaxUint32, math.MaxUint64, 1<<32 - memorySize}
	for i := range names {
		for k := range corners {
			f.Add(uint8(i), corners[k], corners[(k+1)%len(corners)], corners[(k+5)%len(corners)], corners[(k+7)%len(corners)], corners[k/2])
		}
	}
	f.Fuzz(func(t *testing.T, fn uint8, a, b, c, d, e uint64) {
		body := binary.LittleEndian.AppendUint64(nil, uint64(fn)%uint64(len(names)))
		for _, v := range []uint64{a, b, c, d, e, a, b, c, d} {
			body = binary.LittleEndian.AppendUint64(body, v)
		}
		_, _, err := ask(t, img, abi.Event{Body: body}, 20*time.Millisecond)
		kinds := []abi.Kind{abi.None, abi.NoAnswer, abi.OutOfOrder, abi.Exited, abi.GuestError, abi.Deadline} // no answer: it was overwritten
		require.Contains(t, kinds, function.KindOf(err), "%s: %v", names[int(fn)%len(names)].name, err)
	})
}

// TestG15AnswersOutliveTheirGuest keeps what was handed to the caller until the
// guest has overwritten it, its memory is gone, and so is its image.
func TestG15AnswersOutliveTheirGuest(t *testing.T) {
	const at, size = 0xc000, 0x3000
	prefix, ptr, length := answerWith(size, at)
	guest := handmade{
		data: map[uint32][]byte{uint32(ptr): prefix, at: bytes.Repeat([]byte("g"), size)},
		serve: []step{take(anyResult), call(abi.ImportSendResponse, 0, ptr, length),
			fill(at, 'x', size), grow(1, 1), fill(at, 'y', size)},
	}
	for range 20 {
		img := guest.prepare(t, capable())
		sb, err := img.Open(t.Context())
		require.NoError(t, err)
		answered, closed, read := make(chan []byte, 1), make(chan struct{}), make(chan string)
		go func() { // the writer of a slow client
			body := <-answered
			first := string(body[:len(body)/2])
			<-closed
			read <- first + string(body[len(body)/2:])
		}()
		end := time.Now().Add(5 * time.Second)
		_, err = sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) { answered <- res.Body })
		require.NoError(t, err)
		sb.Close()
		img.Close()
		runtime.GC()
		close(closed)
		require.Equal(t, strings.Repeat("g", size), <-read)
	}
}

// TestS8PanicsOfTheHostAreNotTheGuests: a host function that fails by a panic
// ends the event as the host's own fault, the next event is served, and what a
// client may see of the error is its kind.
func TestS8PanicsOfTheHostAreNotTheGuests(t *testing.T) {
	var nothing *strings.Builder
	s := capable()
	s.Secret = func(string) ([]byte, error) { return []byte(nothing.String()[:1]), nil }
	s.HTTP = nil
	guest := handmade{serve: []step{take(anyResult), call(abi.ImportSecretGet, anyResult, nameAt, 5, 0, 0), respond()}}
	img := guest.prepare(t, s)
	for range 3 {
		_, stats, err := ask(t, img, abi.Event{}, 5*time.Second)
		require.Equal(t, abi.Internal, function.KindOf(err), "%v", err)
		require.Equal(t, -1, stats.DirtyPages, "its instance is not used again")
	}
}

// TestG3GuestsInHostCallsGiveWay has one guest do nothing but expensive host calls,
// on the only core. Another one is served before it ends.
func TestG3GuestsInHostCallsGiveWay(t *testing.T) {
	for _, path := range []string{"/entropy", "/spin", "/clear"} {
		t.Run(path[1:], func(t *testing.T) {
			e := openEngine(t, sandbox.Options{Cores: 1})
			img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
			require.NoError(t, err)
			defer img.Close()
			sb, err := img.Open(t.Context())
			require.NoError(t, err)
			defer sb.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			end := time.Now().Add(6 * time.Second) // in which two hundred events find a moment, or none
			busy := make(chan error, 1)
			go func() {
				_, err := sb.Serve(ctx, &abi.Event{Path: path}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
				busy <- err
			}()
			for range 20 {
				require.Equal(t, "1", text(t, img, "/count"))
			}
			require.Empty(t, busy, "it is still at it")
			cancel()
			require.Equal(t, abi.NotReady, function.KindOf(<-busy))
		})
	}
}

// TestS8PanicsInACallAreItsError: an outbound call that panics, before its answer
// or within, fails for the guest that made it, and for nobody else.
func TestS8PanicsInACallAreItsError(t *testing.T) {
	for name, do := range map[string]httpFunc{
		"before the answer": func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) { panic("lost") },
		"within the answer": func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
			return abi.HTTPHead{Status: 200}, io.NopCloser(panicking{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var said []string
			s := settings()
			s.HTTP = do
			s.Log = func(_ string, rec abi.LogRecord) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, rec.Message)
			}
			img := prepareModule(t, testmodule.Build(t, "testdata/netprobe"), s)
			res, _, err := ask(t, img, abi.Event{Path: "/kind", Body: []byte("https://example.test/")}, 5*time.Second)
			require.NoError(t, err)
			require.NotContains(t, string(res.Body), "lost")
			require.NotContains(t, string(res.Body), ".go")
			require.Contains(t, strings.Join(said, "\n"), "panic in a call: lost")
		})
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("lost") }
