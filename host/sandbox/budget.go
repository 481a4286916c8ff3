package sandbox

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
)

// budget is the memory that all sandboxes in use may have together, in bytes. A sandbox
// takes what its snapshot has from Open to Close, and what its guest grows by until its
// instance is closed; so does a guest that is being deployed. What idle instances keep is
// not in it: their changed pages, maxChanged at most where it is known which these are.
type budget struct {
	limit int64
	used  atomic.Int64
}

var errNoMemory = errors.New("the memory for all sandboxes is in use; raise memory under [host] in functions.toml, or lower the concurrency of what uses it")

func newBudget(limit int64) *budget {
	if limit == 0 {
		limit = math.MaxInt64
	}
	return &budget{limit: limit}
}

// fits is an error where n bytes are more than there are when nothing is used.
func (b *budget) fits(n uint64) error {
	if int64(n) <= b.limit {
		return nil
	}
	return fmt.Errorf("it begins with %d MiB, and all sandboxes together may have %d MiB; raise memory under [host] in functions.toml", n>>20, b.limit>>20)
}

// take reports whether n more bytes may be used.
func (b *budget) take(n uint64) bool {
	for {
		used := b.used.Load()
		if int64(n) > b.limit-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			return true
		}
	}
}

func (b *budget) give(n uint64) { b.used.Add(-int64(n)) }
