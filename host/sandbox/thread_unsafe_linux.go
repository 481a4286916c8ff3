package sandbox

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// usage is what the kernel has counted for the calling thread so far.
type usage struct {
	faults int64         // page faults, with and without reading from disk
	cpu    time.Duration // user and system time, in steps of a microsecond
}

// threadUsage reads the calling thread's counts. They can be compared only while
// the goroutine is locked to its thread.
//
// Safety: the kernel fills a Rusage on this stack. RawSyscall neither grows nor
// moves the stack between taking the address and the call, and does not tell the
// scheduler, for a call that never blocks and takes 0.3 us.
func threadUsage() usage {
	var ru unix.Rusage
	_, _, _ = unix.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&ru)), 0)
	return usage{ru.Minflt + ru.Majflt, time.Duration(ru.Utime.Nano() + ru.Stime.Nano())}
}

// probeCounts reports whether the write that makes a page this process's own is
// counted on the writing thread. Some kernels (gVisor, WSL1) never count.
func probeCounts() bool {
	b, err := newBacking(make([]byte, probePages*pageSize))
	if err != nil {
		return false
	}
	defer b.close()
	m, err := newMapping(b.size, b)
	if err != nil {
		return false
	}
	defer m.unmap()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	view := m.bytes()
	for page := range probePages {
		first := byte(1)
		if page%2 == 1 {
			first += view[page*pageSize] // mapped by this read, then written
		}
		before := threadUsage().faults
		view[page*pageSize] = first
		if threadUsage().faults == before {
			return false
		}
	}
	return true
}
