package sandbox

import (
	"encoding/binary"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageSize is the unit in which the kernel tracks changes on the machines spore
// runs on. The probe of an engine fails where it is another.
const pageSize = 4096

// scanArg is struct pm_scan_arg of linux/fs.h.
type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, ret                              uint64
}

type scanRegion struct{ start, end, _ uint64 }

// scan is one call's argument and result vector. It comes from a pool because
// the kernel writes through an address in it: a value on the stack could move
// between taking that address and the call.
type scan struct {
	arg     scanArg
	regions [64]scanRegion
}

var scans = sync.Pool{New: func() any { return new(scan) }}

const (
	pagemapScan  = 0xc0606610 // PAGEMAP_SCAN, Linux 6.7 and later
	categoryFile = 1 << 2
	present      = 1 << 3
	swapped      = 1 << 4
)

// pagemap is this process's own page map, opened once.
var pagemap = sync.OnceValue(func() *os.File {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil
	}
	return f
})

// eachChangedByScan calls visit with the runs of pages among the first n bytes
// that differ from the snapshot: those that are no longer the file's, whether
// present or swapped out. It reports false where the kernel does not tell; visit
// may have been called by then.
//
// Safety: the kernel writes at most vecLen regions to vec and walkEnd to the
// argument, both on the heap and kept alive to the end; the scanned addresses
// are looked up in the page tables, never read. A full vector or an early
// walkEnd means go on, never "done".
func (m *mapping) eachChangedByScan(n uint64, visit func(span)) bool {
	file := pagemap()
	if file == nil {
		return false
	}
	s := scans.Get().(*scan)
	defer scans.Put(s)
	start := uint64(uintptr(m.addr))
	s.arg = scanArg{size: uint64(unsafe.Sizeof(s.arg)), start: start, end: start + n,
		vec: uint64(uintptr(unsafe.Pointer(&s.regions))), vecLen: uint64(len(s.regions)),
		inverted: categoryFile, mask: categoryFile, anyOf: present | swapped}
	for s.arg.start < s.arg.end {
		found, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), pagemapScan, uintptr(unsafe.Pointer(&s.arg)))
		if errno != 0 || s.arg.walkEnd <= s.arg.start {
			return false
		}
		for _, r := range s.regions[:found] {
			visit(span{r.start - start, r.end - start})
		}
		s.arg.start = s.arg.walkEnd
	}
	return true
}

// eachChangedByRead is for kernels before 6.7: one word a page, bit 63 present,
// bit 62 swapped, bit 61 file-mapped.
func (m *mapping) eachChangedByRead(n uint64, visit func(span)) bool {
	file := pagemap()
	if file == nil {
		return false
	}
	words := make([]byte, n/pageSize*8)
	if _, err := file.ReadAt(words, int64(uintptr(m.addr))/pageSize*8); err != nil {
		return false
	}
	for i := uint64(0); i < n/pageSize; i++ {
		w := binary.LittleEndian.Uint64(words[i*8:])
		if w>>61&1 == 0 && w>>62 != 0 {
			visit(span{i * pageSize, (i + 1) * pageSize})
		}
	}
	return true
}

// discard drops every page of the mapping that is this instance's own: the next
// access finds the snapshot's.
//
// Safety: the range is inside the mapping, and nothing but the guest's goroutine,
// which calls this, holds a view of it.
func (m *mapping) discard(b *backing) bool {
	return unix.Madvise(m.bytes()[:b.size], unix.MADV_DONTNEED) == nil
}
