package sandbox

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slice is that of the calling thread.
func slice(t *testing.T) uint64 {
	attr, err := unix.SchedGetAttr(0, 0)
	require.NoError(t, err)
	if attr.Runtime == 0 {
		t.Skip("this kernel has one slice for all (before Linux 6.12)")
	}
	return attr.Runtime
}

// TestOnlyLongRunsHaveLongSlices looks at the thread of a run that becomes a long one,
// and at what it leaves to whoever has the thread next.
func TestOnlyLongRunsHaveLongSlices(t *testing.T) {
	r := pinnedRun(t)
	usual := slice(t)
	next := func() {
		r.thread.since = math.MinInt64 / 2 // its turn is over
		require.True(t, r.relent(r.img.engine.elapsed()))
	}
	next()
	require.Equal(t, usual, slice(t), "a run that has had one turn")
	for start := threadClock(); threadClock()-start < 2*quantum; {
	}
	next()
	require.Equal(t, uint64(longSlice), slice(t), "a long run")
	r.pause()
	require.Equal(t, usual, slice(t), "the thread when the run has left it")
	r.resume()
	require.Equal(t, uint64(longSlice), slice(t), "a long run again")
}

// TestALongStretchHasALongSlice looks at a run whose turn is not over yet.
func TestALongStretchHasALongSlice(t *testing.T) {
	r := pinnedRun(t)
	usual := slice(t)
	now := r.img.engine.elapsed()
	r.thread.since = now - 4*briefly
	require.False(t, r.relent(now))
	require.Equal(t, usual, slice(t))
	r.thread.since--
	require.False(t, r.relent(now))
	require.Equal(t, uint64(longSlice), slice(t))
	r.pause()
	require.Equal(t, usual, slice(t), "the thread when the run has left it")
	r.resume()
	require.Equal(t, usual, slice(t), "the next stretch")
}

// TestAChoreLeavesNothingBehind has chores return, and panic.
func TestAChoreLeavesNothingBehind(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual := slice(t)
	e := &Engine{start: time.Now()}
	e.cores = newCores(2, e.elapsed)
	var during uint64
	for _, fails := range []bool{false, true} {
		work := func() {
			during = slice(t)
			if fails {
				panic("a chore")
			}
		}
		if fails {
			require.Panics(t, func() { e.Chore(work) })
		} else {
			e.Chore(work)
		}
		require.Equal(t, uint64(longSlice), during)
		require.Equal(t, usual, slice(t))
		require.Equal(t, 2, e.cores.free)
		require.Zero(t, e.cores.host.cores)
	}
}
