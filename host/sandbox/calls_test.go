package sandbox

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// openBody is an answer's body that knows whether it counts as open.
type openBody struct {
	*strings.Reader
	open bool
}

func (b *openBody) Close() error { b.open = false; return nil }

// TestAnAnswerIsOpenUntilItIsRead, also one that fits into what is read ahead:
// capabilities bound by open answers what the host holds.
func TestAnAnswerIsOpenUntilItIsRead(t *testing.T) {
	for name, end := range map[string]func(*call){
		"read": func(c *call) {
			n, e := c.read(make([]byte, 10))
			require.Equal(t, 6, n)
			require.Equal(t, success, e)
		},
		"closed": func(c *call) { c.close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &call{wake: make(chan struct{}, 1), cancel: func() {}}
				c.space.L = &c.mu
				body := &openBody{strings.NewReader("answer"), true}
				go c.fill(nil, body)
				synctest.Wait()
				require.True(t, c.readable())
				require.True(t, body.open, "nobody has read it")
				end(c)
				synctest.Wait()
				require.False(t, body.open)
			})
		})
	}
}
