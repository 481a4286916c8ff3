package sandbox

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestX2WhoTakesAllLeavesSome: images that take all they get, a bit at a time and by
// turns, leave some for one that has nothing yet.
func TestX2WhoTakesAllLeavesSome(t *testing.T) {
	const mib = 1 << 20
	for _, hogs := range []int{1, 2, 3, 10} {
		c := newCommons(768 * mib)
		greedy := make([]budget, hogs)
		for taking := true; taking; {
			taking = false
			for i := range greedy {
				greedy[i].commons = c
				taking = greedy[i].take(mib/4) || taking
			}
		}
		left := c.limit - c.used.Load()
		require.InDelta(t, 768*mib/(3*hogs+1), left, mib/2, "beside %d", hogs)
		other := budget{commons: c}
		require.False(t, other.take(uint64(left)))
		require.True(t, other.take(uint64(left/4*3)))
	}
}

// TestX2AllThatWasTakenComesBack, whoever takes and gives at the same time, and never is
// there more of it than there may be.
func TestX2AllThatWasTakenComesBack(t *testing.T) {
	c := newCommons(1000)
	var wg sync.WaitGroup
	for range 4 {
		b := &budget{commons: c}
		for range 2 {
			wg.Go(func() {
				for n := range uint64(100_000) {
					if b.take(n % 500) {
						if c.used.Load() > c.limit {
							t.Error("more than there is")
						}
						b.give(n % 500)
					}
				}
				if b.used.Load() < 0 {
					t.Error("more was given than taken")
				}
			})
		}
	}
	wg.Wait()
	require.Zero(t, c.used.Load())
}
