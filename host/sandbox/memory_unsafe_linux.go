package sandbox

import (
	"cmp"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// backing holds a snapshot's memory: a memfd, filled once and sealed, so that
// nobody can change or truncate what sandboxes have mapped.
type backing struct {
	fd    int
	size  uint64
	zeros zeros
	view  mapping // read-only, to copy from
}

// newBacking returns a backing with a copy of memory, whose length is a
// multiple of the page size.
func newBacking(memory []byte) (*backing, error) {
	fd, err := unix.MemfdCreate("spore-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	b := &backing{fd: fd, size: uint64(len(memory)), zeros: findZeros(memory)}
	if err := b.fill(memory); err != nil {
		b.close()
		return nil, err
	}
	addr, err := unix.MmapPtr(fd, 0, nil, uintptr(b.size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("map image: %w", err)
	}
	b.view = mapping{addr, uintptr(b.size)}
	return b, nil
}

func (b *backing) fill(memory []byte) error {
	if err := unix.Ftruncate(b.fd, int64(len(memory))); err != nil {
		return fmt.Errorf("size image: %w", err)
	}
	for at := 0; at < len(memory); at += pageSize {
		if b.zeros[at/pageSize] == allZero {
			continue // half of a Go program's memory; a hole in the file reads the same
		}
		if n, err := unix.Pwrite(b.fd, memory[at:at+pageSize], int64(at)); err != nil || n < pageSize {
			return fmt.Errorf("fill image: %w", cmp.Or(err, io.ErrShortWrite))
		}
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(b.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	return nil
}

// bytes returns the snapshot's memory, which must not be written. It is valid
// until close.
func (b *backing) bytes() []byte { return b.view.bytes() }

func (b *backing) close() {
	b.view.unmap()
	_ = unix.Close(b.fd)
}

// mapping is a region of address space: the snapshot's pages first, mapped
// privately so that writes stay in this process and in this mapping, and zero
// pages behind them.
type mapping struct {
	addr unsafe.Pointer
	size uintptr
}

// newMapping reserves size bytes, a multiple of the page size, and maps b's
// pages at their beginning.
//
// Safety: the region is obtained from the kernel and known to the Go runtime
// only as a pointer outside its heap, which it ignores. MAP_FIXED replaces a
// part of exactly this region, because b is never larger than it (checked). The
// region lives until unmap, which the instance's Close calls once, after the
// guest's goroutine has left it.
func newMapping(size uint64, b *backing) (mapping, error) {
	if b.size > size {
		return mapping{}, fmt.Errorf("map image: %d bytes into %d", b.size, size)
	}
	const access = unix.PROT_READ | unix.PROT_WRITE
	addr, err := unix.MmapPtr(-1, 0, nil, uintptr(size), access, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	m := mapping{addr, uintptr(size)}
	if _, err := unix.MmapPtr(b.fd, 0, addr, uintptr(b.size), access, unix.MAP_PRIVATE|unix.MAP_FIXED); err != nil {
		m.unmap()
		return mapping{}, fmt.Errorf("map image: %w", err)
	}
	if behind := m.bytes()[b.size:]; len(behind) > 0 {
		// A guest that grows gets huge pages, where there are any: a fault each 2 MiB
		// instead of 512. Its instance is dropped afterwards, and they with it.
		_ = unix.Madvise(behind, unix.MADV_HUGEPAGE)
	}
	return m, nil
}

// bytes returns the region. The slice must not be used after unmap.
func (m *mapping) bytes() []byte { return unsafe.Slice((*byte)(m.addr), m.size) }

func (m *mapping) unmap() {
	if m.addr != nil {
		_ = unix.MunmapPtr(m.addr, m.size)
		m.addr = nil
	}
}
