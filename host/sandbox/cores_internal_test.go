package sandbox

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestShortRunsGoFirst has runs queue for the only core and watches in which order
// they get it.
func TestShortRunsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, c := &holder{}, newCores(1, func() int64 { return 0 })
		c.lately.Store(0) // no matter: no core is kept where there is one
		c.take(short, one, never)
		var order []string
		queue := func(name string, in int) {
			go func() {
				c.take(in, one, never)
				order = append(order, name)
				c.give(one)
			}()
			synctest.Wait() // it stands in its line
		}
		for range 2 {
			queue("long", long)
		}
		queue("chore", chore)
		for range 10 {
			queue("short", short)
		}
		c.give(one)
		synctest.Wait()
		require.Equal(t, []string{"short", "short", "short", "short", "short", "short", "short", "long", "short", "short", "short", "chore", "long"}, order)
		require.Equal(t, 1, c.free)
	})
}

// TestWhoseTimeIsOverGoesFirst has runs with and without deadlines queue for the only
// core, in every line, and lets two deadlines pass.
func TestWhoseTimeIsOverGoesFirst(t *testing.T) {
	for in := range lines {
		synctest.Test(t, func(t *testing.T) {
			var now int64
			one, c := &holder{}, newCores(1, func() int64 { return now })
			c.take(short, one, never)
			var order []int64
			for _, until := range []int64{never, 30, 10, 20, never} {
				go func() {
					c.take(in, one, until)
					order = append(order, until)
					c.give(one)
				}()
				synctest.Wait()
			}
			now = 20
			go func() {
				c.take(short, one, never) // comes last, and in the line that goes first
				order = append(order, 0)
				c.give(one)
			}()
			synctest.Wait()
			c.give(one)
			synctest.Wait()
			require.Equal(t, []int64{10, 20}, order[:2])
			require.Len(t, order, 6)
			require.NotEqual(t, []int64{30}, order[2:3], "its time is not over")
			require.Equal(t, 1, c.free)
		})
	}
}

// TestAKeptCoreIsForWhoseTimeIsOver: it only ends, which is short enough.
func TestAKeptCoreIsForWhoseTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, c := &holder{}, newCores(2, func() int64 { return 20 })
		c.lately.Store(20)
		c.take(long, one, never)
		c.take(long, one, 20) // or this test does not end
		require.Zero(t, c.free)
	})
}

// TestACoreIsKeptForShortRuns has long runs, and instances that are made, wait for
// the last of two cores until no short run has been over lately.
func TestACoreIsKeptForShortRuns(t *testing.T) {
	for _, in := range []int{chore, long} {
		synctest.Test(t, func(t *testing.T) {
			var now int64
			one, c := &holder{}, newCores(2, func() int64 { return now })
			var running atomic.Int32
			queue := func() {
				go func() {
					c.take(in, one, never)
					running.Add(1)
				}()
				synctest.Wait()
			}
			stretch := func() { // one of them yields
				running.Add(-1)
				c.give(one)
				queue()
			}
			queue()
			queue()
			require.EqualValues(t, 2, running.Load(), "nothing short was there yet")

			c.lately.Store(now)
			stretch()
			require.EqualValues(t, 1, running.Load())
			for range 3 * fairness { // also when it is their turn
				stretch()
				require.EqualValues(t, 1, running.Load())
				c.take(short, one, never) // which does not wait
				c.give(one)
				require.EqualValues(t, 1, running.Load())
			}
			now += keepFor - 1
			stretch()
			require.EqualValues(t, 1, running.Load())
			now++
			stretch()
			require.EqualValues(t, 2, running.Load(), "the short ones have stopped coming")
			require.Zero(t, c.free)
		})
	}
}

// TestLongRunsGoOnBesideAFloodOfShortOnes: a core that is kept for short runs is not
// kept from others for ever.
func TestLongRunsGoOnBesideAFloodOfShortOnes(t *testing.T) {
	for _, in := range []int{chore, long} {
		synctest.Test(t, func(t *testing.T) {
			one, c := &holder{}, newCores(2, func() int64 { return 0 })
			c.lately.Store(0)
			var waited, got int
			for range 2 {
				c.take(short, one, never)
			}
			go func() {
				c.take(in, one, never)
				got = waited
				c.give(one)
			}()
			synctest.Wait()
			for range 3 * fairness {
				go c.take(short, one, never) // there is always another one
				synctest.Wait()
				waited++
				c.give(one)
				synctest.Wait()
			}
			require.Positive(t, got)
			require.LessOrEqual(t, got, fairness)
		})
	}
}

// TestNoLineWaitsForEver has somebody stand in each line while those who have had a
// core queue for another one at once, in any of the lines.
func TestNoLineWaitsForEver(t *testing.T) {
	for n := 1; n <= 3; n++ {
		for flooded := 1; flooded < 1<<lines; flooded++ {
			for in := range lines {
				synctest.Test(t, func(t *testing.T) {
					one, c := &holder{}, newCores(n, func() int64 { return 0 })
					c.lately.Store(0)
					held := make(chan int, 100) // the lines that the cores were taken in
					queue := func(in int) {
						go func() {
							c.take(in, one, never)
							held <- in
						}()
						synctest.Wait()
					}
					for other := range lines {
						for range 4 * (flooded >> other & 1) {
							queue(other)
						}
					}
					var got bool
					go func() {
						c.take(in, one, never)
						got = true
						c.give(one)
					}()
					synctest.Wait()
					for gives := 0; !got && gives < 6*2*fairness; gives++ {
						again := <-held
						c.give(one)
						synctest.Wait()
						queue(again)
					}
					inTime := got
					for len(held) > 0 {
						<-held
						c.give(one)
						synctest.Wait()
					}
					require.True(t, inTime, "%d cores, line %d beside lines %03b", n, in, flooded)
				})
			}
		}
	}
}

// TestOneEventDoesNotStandBehindManyOfOthers has two functions with many events each
// queue for the only core, and a third with one.
func TestOneEventDoesNotStandBehindManyOfOthers(t *testing.T) {
	for in := range lines {
		synctest.Test(t, func(t *testing.T) {
			c := newCores(1, func() int64 { return 0 })
			var first, second, third holder
			c.take(in, &first, never)
			var order string
			queue := func(name string, by *holder) {
				go func() {
					c.take(in, by, never)
					order += name
					c.give(by)
				}()
				synctest.Wait()
			}
			for range 4 {
				queue("a", &first)
			}
			for range 3 {
				queue("b", &second)
			}
			queue("c", &third)
			c.give(&first)
			synctest.Wait()
			require.Equal(t, "bcababaa", order)
		})
	}
}

// TestFunctionsShareTheCores has a function with one event at a time beside two that
// have many, in each line.
func TestFunctionsShareTheCores(t *testing.T) {
	for in := range lines {
		synctest.Test(t, func(t *testing.T) {
			c := newCores(3, func() int64 { return 0 })
			var first, second, third holder
			for range 3 {
				c.take(in, &first, never)
			}
			var order string
			queue := func(name string, by *holder) {
				go func() {
					c.take(in, by, never)
					order += name
				}()
				synctest.Wait()
			}
			for range 4 {
				queue("a", &first)
			}
			for range 4 {
				queue("b", &second)
			}
			queue("c", &third)
			for _, by := range []*holder{&first, &first, &first, &second, &third, &first, &second, &first, &second} {
				c.give(by)
				synctest.Wait()
			}
			require.Equal(t, "bcabababa", order)
		})
	}
}
