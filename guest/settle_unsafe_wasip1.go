package guest

import (
	"runtime"
	"syscall"
	"unsafe"
)

// headroom is what is free when settle has collected: a mebibyte that a request can
// allocate before the heap grows, and what settle takes itself. A sandbox whose memory
// grew cannot be restored in place.
const headroom = 1<<20 + 256<<10

// settle leaves the heap so that a request is cheap to serve and changes few pages,
// each of which is copied back after it. Without it a request's first object of
// every size takes a new span from the heap: bitmaps, lists and the span's two or
// more pages. It is called once, when all that warms up by code has run. After
// sample events it would do harm: a collection empties the sync.Pools they filled.
func settle() {
	if limit, ok := syscall.Getenv("GOMEMLIMIT"); !ok || len(limit) > len("9999999") {
		sink = make([]byte, headroom) // under a limit of 10 MB it would be missed elsewhere
		sink = nil
	}
	runtime.GC() // what main left over becomes room for requests
	for n := 8; n <= 2048; n = nextSize(n) {
		sink = make([]byte, n)
		sink = halfway(n)
	}
	sink = nil
}

// sink keeps the compiler from putting on the stack what is meant for the heap.
var sink any

// nextSize is the smallest size the allocator has a class for above n.
func nextSize(n int) int { return cap(append([]byte(nil), make([]byte, n+1)...)) }

// halfway allocates objects of n bytes with pointers in them until the next ones
// come from the second page of a span, and returns the last. A span of objects
// up to 512 bytes has 8 KiB and says at its end which words are pointers: then
// that page changes anyway. The address is looked at and nothing else, and where
// spans look otherwise, memory is used up to no purpose and no harm.
func halfway(n int) any {
	const page, span, small = 4 << 10, 8 << 10, 512
	for range span / n {
		p := make([]*byte, n/8)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(p))) % span
		if n > small || page <= at && at < page+page/4 {
			return p
		}
	}
	return nil
}
