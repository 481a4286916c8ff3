package sandbox_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
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

// zeroFrom traps unless all memory from page first on is zero. The address stands
// in global 0, a mutable i32.
func zeroFrom(first int32) step {
	return raw(cat([]byte{0x41}, sleb(first<<16), []byte{0x24, 0, // address
		0x03, 0x40, 0x23, 0, 0x3f, 0, 0x41, 16, 0x74, 0x49, 0x04, 0x40, // loop; if address < size
		0x23, 0, 0x29, 3, 0, 0x50, 0x45, 0x04, 0x40, 0x00, 0x0b, // if the word there is not zero: unreachable
		0x23, 0, 0x41, 8, 0x6a, 0x24, 0, 0x0c, 1, 0x0b, 0x0b})...) // address += 8; again
}

// TestS1UnfinishedLinesStayWithTheirEvent: what an event has written to either stream
// without a newline is logged under its own id, and is in no error of the next event.
func TestS1UnfinishedLinesStayWithTheirEvent(t *testing.T) {
	const which, lines = 0x600, 0x700
	data := map[uint32][]byte{}
	write := func(text string) []step {
		at := uint32(lines + 0x40*len(data))
		data[at] = oneLine(at, text)
		stream := int32(1)
		if strings.HasSuffix(text, "stderr") {
			stream = 2
		}
		return []step{call("fd_write", 0, stream, int32(at), 1, int32(at)+8)}
	}
	writes := func(event string) []step {
		return slices.Concat([]step{take(anyResult)}, write(event+" to stdout"), write(event+" to stderr"))
	}
	first, second := writes("first"), append(writes("second"), call(procExit, noResult, 3))
	for name, tc := range map[string]struct {
		end  []step
		want abi.Kind
	}{
		"after an answer":            {[]step{respond()}, abi.None},
		"after an error":             {[]step{failWith()}, abi.GuestError},
		"after an exit":              {[]step{call(procExit, noResult, 4)}, abi.Exited},
		"after a trap":               {[]step{raw(0x00)}, abi.Trapped},
		"after a loop without end":   {[]step{endlessLoop}, abi.Deadline},
		"after an answer and a loop": {[]step{respond(), endlessLoop}, abi.Deadline},
	} {
		t.Run(name, func(t *testing.T) {
			var clock atomic.Int64
			var logs records
			e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Now: func() time.Time { return time.Unix(0, clock.Load()) }})
			s := capable()
			s.Log = logs.take
			guest := handmade{data: data, serve: []step{call("clock_time_get", 0, 0, 0, which)}}
			guest.serve = append(guest.serve, when(which, 1, slices.Concat(first, tc.end))...)
			guest.serve = append(guest.serve, when(which, 2, second)...)
			img, err := e.Prepare(t.Context(), guest.bytes(), s)
			require.NoError(t, err)
			defer img.Close()
			limit := 10 * time.Second
			if tc.want == abi.Deadline {
				limit = 200 * time.Millisecond
			}
			serve := func(event int64, id string, limit time.Duration) error {
				clock.Store(event)
				_, _, err := ask(t, img, abi.Event{RequestID: id}, limit)
				return err
			}
			for range 3 {
				err := serve(1, "a", limit)
				require.Equal(t, tc.want, function.KindOf(err), "%v", err)
				require.Equal(t, []string{"a 0 first to stdout [{stream stdout}]", "a 0 first to stderr [{stream stderr}]"}, logs.takeAll())
				err = serve(2, "b", 10*time.Second)
				require.Equal(t, abi.Exited, function.KindOf(err), "%v", err)
				require.ErrorContains(t, err, "exited with status 3: second to stderr")
				require.NotContains(t, err.Error(), "first")
				require.Equal(t, []string{"b 0 second to stdout [{stream stdout}]", "b 0 second to stderr [{stream stderr}]"}, logs.takeAll())
			}
			if tc.want == abi.None {
				require.NotZero(t, e.Restores().InPlace, "the second event has had the instance of the first")
			}
		})
	}
}

// TestS2GrownPagesAreZero has guests fill all they can, some of it grown and some
// of it refused, and others grow by every number of pages and look at them.
func TestS2GrownPagesAreZero(t *testing.T) {
	const which, limit = 0x600, 16 // pages
	var clock atomic.Int64
	guest := handmade{globals: [][]byte{{0x7f, 1, 0x41, 0, 0x0b}}, min: 2, serve: []step{call("clock_time_get", 0, 0, 0, which)}}
	answers := []step{take(anyResult), respond()}
	dirty := fill(memorySize, -1, memorySize)
	for pages := int32(1); pages <= limit-2; pages++ {
		guest.serve = append(guest.serve, when(which, pages, slices.Concat([]step{grow(pages, 2), zeroFrom(2)}, answers))...)
		guest.serve = append(guest.serve, when(which, 100+pages, slices.Concat(answers, []step{dirty, grow(pages, 2), fill(2<<16, -1, pages<<16)}))...)
	}
	guest.serve = append(guest.serve, when(which, 100, append(slices.Clone(answers), dirty))...)
	guest.serve = append(guest.serve, when(which, 99, slices.Concat(answers, []step{grow(limit, -1), dirty}))...)
	wasm := guest.bytes()
	for _, method := range []sandbox.Method{sandbox.Auto, sandbox.Scan, sandbox.Pagemap, sandbox.Discard, sandbox.Copy} {
		t.Run(method.String(), func(t *testing.T) {
			e, err := sandbox.Open(sandbox.Options{Directory: t.TempDir(), Restore: method, Prove: true, Now: func() time.Time { return time.Unix(0, clock.Load()) }})
			if err != nil {
				t.Skip(err)
			}
			img, err := e.Prepare(t.Context(), wasm, capable())
			require.NoError(t, err)
			defer img.Close()
			serve := func(path int64) {
				clock.Store(path)
				_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
				require.NoError(t, err)
			}
			for pages := int64(1); pages <= limit-2; pages++ {
				for _, before := range []int64{99, 100, 101, 100 + pages, 100 + limit - 2} {
					serve(before)
					serve(pages)
				}
			}
			require.NotZero(t, e.Restores().InPlace, "some grew in memory that had served before")
		})
	}
}

// TestS3CancelledGuestsLeaveNothing cancels guests at any moment and looks at what
// the next ones find.
func TestS3CancelledGuestsLeaveNothing(t *testing.T) {
	const mark, guests = 0x6000, 4
	requests := times(*cancels, 100_000) / guests
	quick := handmade{serve: []step{ // a trap if it finds a mark; half of them answer before they spin
		load(mark, 0), load(memorySize-4, 0), store(mark, 1), store(memorySize-4, 1), take(anyResult),
		raw(0x41, 0, 0x2d, 0, 0, 0x1a), respond(), raw(0x03, 0x40, 0x0c, 0, 0x0b),
	}}.prepare(t, capable())
	ofGo := prepare(t, settings())
	var cancelled, found atomic.Int64
	var wg sync.WaitGroup
	for g := range guests {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range requests {
				img, ev := quick, abi.Event{}
				plain, inverted := canary(g*requests + i)
				if i%10 == 0 {
					img, ev = ofGo, abi.Event{Path: "/mark-and-spin", Body: plain}
				}
				switch err := serveUntil(t, img, &ev, time.Duration(r.IntN(5000))*time.Microsecond); function.KindOf(err) {
				case abi.NotReady:
					cancelled.Add(1)
				default:
					t.Errorf("%v", err)
					return
				}
				if i%10 == 0 {
					res, _, err := ask(t, ofGo, abi.Event{Path: "/look", Body: inverted}, 20*time.Second)
					if err != nil || string(res.Body) != "0" {
						found.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, found.Load())
	require.Equal(t, int64(guests*requests), cancelled.Load())
}

// serveUntil serves ev in a new sandbox and cancels it after a while.
func serveUntil(t *testing.T, img *sandbox.Image, ev *abi.Event, after time.Duration) error {
	sb, err := img.Open(t.Context())
	if err != nil {
		return err
	}
	defer sb.Close()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	end := time.Now().Add(time.Minute)
	_, err = sb.Serve(ctx, ev, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
	return err
}

// TestS4AGeneratorOfOnesOwnRepeats is the other side of fresh random numbers: a
// generator that was seeded in initialisation is part of the snapshot.
func TestS4AGeneratorOfOnesOwnRepeats(t *testing.T) {
	img := prepare(t, settings())
	first := text(t, img, "/own-seed")
	for range 10 {
		require.Equal(t, first, text(t, img, "/own-seed"))
	}
}

// TestS5ATickerOfInitialisationGoesOn: time that passed between snapshot and event
// is one tick to it, not one for every period.
func TestS5ATickerOfInitialisationGoesOn(t *testing.T) {
	s := settings()
	s.Env = map[string]string{"PROBE_INIT": "tick"}
	img := prepare(t, s)
	time.Sleep(200 * time.Millisecond) // what the ticker slept through
	for range 5 {
		var ticks, ms int
		_, err := fmt.Sscan(text(t, img, "/ticks"), &ticks, &ms)
		require.NoError(t, err)
		require.GreaterOrEqual(t, ticks, 1)
		require.LessOrEqual(t, ticks, ms/10+2, "no burst of ticks that were missed in %d ms", ms) // one every 10 ms, and one that was due
	}
}

// TestS5WallTimeMayGoBackwards restores under a wall clock that has gone back by a
// day. Monotonic time goes on.
func TestS5WallTimeMayGoBackwards(t *testing.T) {
	var offset atomic.Int64
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	read := func() (wall, since int64) {
		w, s, _ := strings.Cut(text(t, img, "/clock"), " ")
		wall, err := strconv.ParseInt(w, 10, 64)
		require.NoError(t, err)
		since, err = strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return wall, since
	}
	wall, since := read()
	offset.Store(int64(-24 * time.Hour))
	back, later := read()
	require.InDelta(t, float64(wall)-float64(24*time.Hour), float64(back), float64(time.Minute))
	require.Greater(t, later, since, "time since initialisation never goes back")
	nap, err := time.ParseDuration(text(t, img, "/nap"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, nap, 20*time.Millisecond, "timers follow the monotonic clock")
}
