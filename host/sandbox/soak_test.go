package sandbox_test

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
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

// holdings is what a process can leak.
type holdings struct{ resident, descriptors, goroutines, mappings int }

func held(t *testing.T) (h holdings) {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("counts through /proc, which is not here")
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	require.NoError(t, err)
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return holdings{pages * os.Getpagesize(), len(fds), runtime.NumGoroutine(), bytes.Count(maps, []byte("\n"))}
}

// TestNothingLeaks serves events of which one in a hundred each traps, times out
// and grows its memory. After the first tenth the process has what it needs.
func TestNothingLeaks(t *testing.T) {
	e, err := sandbox.Open(sandbox.Options{Directory: t.TempDir()})
	require.NoError(t, err)
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	events := times(5000, 100_000)
	serve(t, img, events/10)
	before := held(t)
	serve(t, img, events-events/10)
	after := held(t)
	t.Logf("after %d events %+v, after %d %+v, %+v", events/10, before, events, after, e.Restores())
	require.LessOrEqual(t, after.resident, before.resident*11/10+8<<20)
	require.LessOrEqual(t, after.descriptors, before.descriptors+2)
	require.LessOrEqual(t, after.goroutines, before.goroutines+2)
	require.LessOrEqual(t, after.mappings, before.mappings*11/10+20)
}

// serve takes n events to img, four at a time.
func serve(t *testing.T, img *sandbox.Image, n int) {
	var next, bad atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				path, limit, want := "/count", 5*time.Second, abi.None
				switch i % 100 {
				case 33:
					path, want = "/trap", abi.Trapped
				case 66:
					path, limit, want = "/spin", 2*time.Millisecond, abi.Deadline
				case 99:
					path = "/mark-and-grow"
				}
				_, _, err := ask(t, img, abi.Event{Path: path, Body: []byte("mark")}, limit)
				if kind := function.KindOf(err); kind != want {
					bad.Add(1)
					t.Errorf("%s: %v", path, err)
				}
				if bad.Load() > 5 {
					return
				}
			}
		})
	}
	wg.Wait()
}
