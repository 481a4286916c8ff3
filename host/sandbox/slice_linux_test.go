package sandbox

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestOnlyLongRunsHaveLongSlices looks at the thread of a run that becomes a long one,
// and at what it leaves to whoever has the thread next.
func TestOnlyLongRunsHaveLongSlices(t *testing.T) {
	slice := func() uint64 {
		attr, err := unix.SchedGetAttr(0, 0)
		require.NoError(t, err)
		return attr.Runtime
	}
	r := pinnedRun(t)
	usual := slice()
	if usual == 0 {
		t.Skip("this kernel has one slice for all (before Linux 6.12)")
	}
	next := func() {
		r.thread.since = math.MinInt64 / 2 // its turn is over
		require.True(t, r.relent(r.img.engine.elapsed()))
	}
	next()
	require.Equal(t, usual, slice(), "a run that has had one turn")
	for start := threadClock(); threadClock()-start < 2*quantum; {
	}
	next()
	require.Equal(t, uint64(longSlice), slice(), "a long run")
	r.pause()
	require.Equal(t, usual, slice(), "the thread when the run has left it")
	r.resume()
	require.Equal(t, uint64(longSlice), slice(), "a long run again")
}
