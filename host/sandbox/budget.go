package sandbox

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
)

// commons is the memory that all sandboxes in use may have together, in bytes.
type commons struct {
	limit int64
	used  atomic.Int64
}

// budget is what one image has of it. A sandbox takes what its snapshot and its instance
// have from Open to Close, and what its guest grows by, and a large stack of its calls,
// until its instance is closed; so does a guest that is being deployed. What idle
// instances keep is not in it: maxIdleBytes an image.
type budget struct {
	commons *commons
	used    atomic.Int64
}

// share is how many times what is left for others one image may have. Alone it has three
// quarters of all at most. Of two that take what they get each has three sevenths, and
// leaves one of them: however many there are, one that has little finds some.
const share = 3

var errNoMemory = errors.New("the memory for all sandboxes, or this function's share of it, is in use; raise memory under [host] in functions.toml, or lower the concurrency of what uses it")

func newCommons(limit int64) *commons {
	if limit == 0 {
		limit = math.MaxInt64
	}
	return &commons{limit: limit}
}

// fits is an error where n bytes are more than an image may have when nothing is used.
func (c *commons) fits(n uint64) error {
	if left := c.limit - int64(n); left >= 0 && int64(n)/share <= left {
		return nil
	}
	return fmt.Errorf("it begins with %d MiB, and one function may have three quarters of the %d MiB for all sandboxes; raise memory under [host] in functions.toml", n>>20, c.limit>>20)
}

// take reports whether n more bytes may be used. Takes at the same time may go beyond the
// image's share by what they are for, but never beyond what there is.
func (b *budget) take(n uint64) bool {
	for {
		used := b.commons.used.Load()
		left := b.commons.limit - used - int64(n)
		if left < 0 || (b.used.Load()+int64(n))/share > left {
			return false
		}
		if b.commons.used.CompareAndSwap(used, used+int64(n)) {
			b.used.Add(int64(n))
			return true
		}
	}
}

func (b *budget) give(n uint64) {
	b.used.Add(-int64(n))
	b.commons.used.Add(-int64(n))
}
