package sandbox_test

import (
	"os"
	"runtime"
	"runtime/debug"
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

// marker is a one-page module that looks for a mark in all of its memory and in its
// globals, traps when there is one, answers, and then marks all of it.
func marker() handmade {
	const mark = 0x25 // in every byte; small enough to be one byte of LEB128
	var mark64 []byte // i64.const 0x2525252525252525
	for v := uint64(0x2525252525252525); ; v >>= 7 {
		if v < 0x40 {
			mark64 = append(mark64, byte(v))
			break
		}
		mark64 = append(mark64, byte(v&0x7f|0x80))
	}
	trapIf := []byte{0x04, 0x40, 0x00, 0x0b} // if; unreachable; end
	look := cat(
		[]byte{0x23, 0}, trapIf, // global 0: i32
		[]byte{0x23, 1, 0x50, 0x45}, trapIf, // global 1: i64.eqz, i32.eqz
		[]byte{0x23, 2, 0xbc}, trapIf, // global 2: i32.reinterpret_f32
		[]byte{0x23, 3, 0xbd, 0x50, 0x45}, trapIf, // global 3: i64.reinterpret_f64
		[]byte{0x03, 0x40}, // loop over memory, with global 0 as the address
		[]byte{0x23, 0, 0x29, 3, 0, 0x42}, mark64, []byte{0x51}, trapIf,
		[]byte{0x23, 0, 0x41, 8, 0x6a, 0x24, 0},
		[]byte{0x23, 0, 0x41}, sleb(memorySize), []byte{0x49, 0x0d, 0, 0x0b},
	)
	globals := cat(
		[]byte{0x41, mark, 0x24, 0, 0x42, mark, 0x24, 1},
		[]byte{0x41, mark, 0xbe, 0x24, 2, 0x42, mark, 0xbf, 0x24, 3},
	)
	return handmade{
		globals: [][]byte{{0x7f, 1, 0x41, 0, 0x0b}, {0x7e, 1, 0x42, 0, 0x0b}, {0x7d, 1, 0x43, 0, 0, 0, 0, 0x0b}, {0x7c, 1, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b}},
		serve:   []step{raw(look...), take(anyResult), respond(), fill(0, mark, memorySize), raw(globals...)},
	}
}

// crowded makes the test's process a hard place: a collector that hardly pauses,
// and more guests than cores. It returns how many.
func crowded(t *testing.T) (guests int) {
	t.Helper()
	old := debug.SetGCPercent(20)
	t.Cleanup(func() { debug.SetGCPercent(old) })
	return 3*runtime.GOMAXPROCS(0) + 1
}

// TestS1NoMarkSurvives has every event look for the marks of the one before. All
// restores are proven byte for byte as well. It is the path that spares looking at
// the page tables which has to hold here, so most restores must have taken it.
func TestS1NoMarkSurvives(t *testing.T) {
	guests, events := crowded(t), times(30_000, 1_000_000)
	e := openEngine(t, sandbox.Options{})
	img, err := e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	var left atomic.Int64
	left.Store(int64(events))
	var wg sync.WaitGroup
	for range guests {
		wg.Go(func() {
			var garbage [][]byte // keeps the collector, and this goroutine's stack, on the move
			for left.Add(-1) >= 0 && !t.Failed() {
				garbage = append(garbage[:len(garbage)%64], make([]byte, 512))
				if _, _, err := ask(t, img, abi.Event{}, 5*time.Second); err != nil {
					t.Errorf("an event found a mark: %v", err)
				}
			}
		})
	}
	wg.Wait()
	r := e.Restores()
	t.Logf("%d events, %d guests at once: %+v", events, guests, r)
	require.Equal(t, int64(events), r.InPlace)
	if e.RestoreMethod() == "scan, spared where no page fault happened" {
		require.Greater(t, r.Spared, r.InPlace/2, "or this proves nothing about sparing the look")
	}
}

// TestS1AMarkThatIsLeftIsFound is the test of the test: without restoring, the
// second event traps.
func TestS1AMarkThatIsLeftIsFound(t *testing.T) {
	e, err := sandbox.Open(sandbox.Options{Directory: t.TempDir(), Unisolated: true})
	require.NoError(t, err)
	img, err := e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	_, _, err = ask(t, img, abi.Event{}, time.Second)
	require.NoError(t, err)
	_, _, err = ask(t, img, abi.Event{}, time.Second)
	require.Equal(t, abi.Trapped, function.KindOf(err), "%v", err)
}

// TestS1EveryMethodIsolates runs the marker with each way of restoring.
func TestS1EveryMethodIsolates(t *testing.T) {
	for method := sandbox.Scan; method <= sandbox.Copy; method++ {
		e, err := sandbox.Open(sandbox.Options{Directory: t.TempDir(), Restore: method, Prove: true})
		if err != nil {
			t.Log(err) // a method that this machine does not have
			continue
		}
		img, err := e.Prepare(t.Context(), marker().bytes(), capable())
		require.NoError(t, err)
		for range 300 {
			_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
			require.NoError(t, err, "%v", method)
		}
		require.Equal(t, int64(300), e.Restores().InPlace, "%v", method)
		img.Close()
	}
}

// TestS1NoMarkOfAGoGuestSurvives alternates a guest that marks heap, globals, stack,
// maps, goroutines and output buffers with one that searches all of linear memory.
// One in a hundred grows its memory. In the long form the kernel is asked to swap
// the process out again and again, where there is swap.
func TestS1NoMarkOfAGoGuestSurvives(t *testing.T) {
	guests, events := crowded(t), times(900, 10_000)
	e := openEngine(t, sandbox.Options{})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	var left atomic.Int64
	left.Store(int64(events))
	var wg sync.WaitGroup
	for range guests {
		wg.Go(func() {
			for i := left.Add(-1); i >= 0 && !t.Failed(); i = left.Add(-1) {
				plain, inverted := canary(int(i))
				path := "/mark"
				if i%100 == 99 {
					path = "/mark-and-grow"
				}
				if _, _, err := ask(t, img, abi.Event{Path: path, Body: plain}, 10*time.Second); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				res, _, err := ask(t, img, abi.Event{Path: "/look", Body: inverted}, 10*time.Second)
				if err != nil || string(res.Body) != "0" {
					t.Errorf("a mark was found: %s, %v", res.Body, err)
				}
			}
		})
	}
	wg.Wait()
	r := e.Restores()
	t.Logf("%d markers, %d guests at once: %+v", events, guests, r)
	require.GreaterOrEqual(t, r.Dropped, int64(events/100), "those that grew")
	if runtime.GOOS == "linux" {
		require.Greater(t, r.InPlace, int64(events), "or this test proves nothing about restoring")
	}
	// The search itself is tried: within one event the mark is there.
	plain, _ := canary(1)
	res, _, err := ask(t, img, abi.Event{Path: "/look-at-own", Body: plain}, 5*time.Second)
	require.NoError(t, err)
	require.NotEqual(t, "0", string(res.Body))
}

// TestS1NoMarkSurvivesInSwap swaps the instance out between events: a page that is
// in swap is not the snapshot's, and counts as changed.
func TestS1NoMarkSurvivesInSwap(t *testing.T) {
	needSwap(t)
	for method := sandbox.Scan; method <= sandbox.Pagemap; method++ {
		e, err := sandbox.Open(sandbox.Options{Directory: t.TempDir(), Restore: method, Prove: true})
		if err != nil {
			t.Log(err) // a method that this machine does not have
			continue
		}
		img, err := e.Prepare(t.Context(), marker().bytes(), capable())
		require.NoError(t, err)
		defer img.Close()
		swapped := 0
		for range times(300, 10_000) {
			_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
			require.NoError(t, err)
			swapped += sandbox.PageOut(t, img)
		}
		t.Logf("%v: %d pages were swapped out", method, swapped)
		require.Positive(t, swapped)
	}
}

// needSwap skips a test on a machine without swap.
func needSwap(t *testing.T) {
	t.Helper()
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil || strings.Count(string(swaps), "\n") < 2 {
		t.Skip("this machine has no swap; .ci/run makes some in memory (zram)")
	}
}
