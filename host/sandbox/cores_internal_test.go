package sandbox

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestShortRunsGoFirst has runs queue for the only core and watches in which order
// they get it.
func TestShortRunsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cores{free: 1}
		c.take(short)
		var order []string
		queue := func(name string, in int) {
			go func() {
				c.take(in)
				order = append(order, name)
				c.give()
			}()
			synctest.Wait() // it stands in its line
		}
		for range 2 {
			queue("long", long)
		}
		queue("starting", starting)
		for range 10 {
			queue("short", short)
		}
		c.give()
		synctest.Wait()
		require.Equal(t, []string{"short", "short", "short", "short", "short", "short", "short", "long", "short", "short", "short", "starting", "long"}, order)
		require.Equal(t, 1, c.free)
	})
}
