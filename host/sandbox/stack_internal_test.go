package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoLongStretchOfTheStackIsWithoutACallThatYields plays a guest that knows when it
// has yielded: where that was at an entry, it goes back at once and enters anew.
func TestNoLongStretchOfTheStackIsWithoutACallThatYields(t *testing.T) {
	const frame = 40 // bytes
	var s callStack
	var marked []int // entries that yielded and were not gone back from
	for depth := frame; depth < maxCallStack; depth += frame {
		for tries := 0; ; tries++ {
			if s.slice(depth, true) >= 0 {
				require.LessOrEqual(t, depth, deepCallStack)
				break
			}
			if again := s.slice(depth, false); again > 0 { // it went back, and has fuel to enter without a yield
				break
			}
			if tries == 1 { // no luck: it stays
				require.Negative(t, s.slice(depth, true))
				marked = append(marked, depth)
				break
			}
		}
	}
	before := 0
	require.Len(t, s.marks, len(marked))
	for i, depth := range append(marked, maxCallStack) {
		if i < len(marked) {
			require.Equal(t, depth, s.marks[i].depth)
		}
		require.LessOrEqual(t, depth-before, deepCallStack+3*frame)
		before = depth
	}
	for depth := maxCallStack; depth > deepCallStack; depth -= frame {
		require.LessOrEqual(t, s.slice(depth, false), int64(deepSlice))
	}
	require.Equal(t, int64(FuelSlice), s.slice(deepCallStack, false))
	require.Empty(t, s.marks)
}

func TestALoopOnADeepStackHasFuel(t *testing.T) {
	var s callStack
	require.Equal(t, int64(FuelSlice), s.slice(100, true), "not deep")
	deep := deepCallStack + 1000
	for range 10 {
		require.Equal(t, int64(deepSlice), s.slice(deep, false), "there is no mark, but it goes no deeper")
	}
	require.Zero(t, s.slice(deep+100, false), "the next entry has to yield")
	require.Equal(t, int64(-deepSlice), s.slice(deep+100, true))
	for range 10 {
		require.Equal(t, int64(deepSlice), s.slice(deep+200, false))
	}
	require.Equal(t, int64(deepSlice), s.slice(deep, false), "it has come back")
	require.Equal(t, int64(deepSlice), s.slice(deep-100, false))
	require.Zero(t, s.slice(deep, false), "what came back is no leave to go there again")
	require.Equal(t, int64(FuelSlice), s.slice(deepCallStack, false))
	require.Equal(t, int64(deepSlice), s.slice(deep, false))
}
