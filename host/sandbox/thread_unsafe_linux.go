package sandbox

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadFaults is the calling thread's count of page faults, with and without
// reading from disk. Counts can be compared only while the goroutine is locked to
// its thread.
//
// Safety: the kernel fills a Rusage on this stack. RawSyscall neither grows nor
// moves the stack between taking the address and the call, and does not tell the
// scheduler, for a call that never blocks and takes 0.3 us.
func threadFaults() int64 {
	var ru unix.Rusage
	_, _, _ = unix.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&ru)), 0)
	return ru.Minflt + ru.Majflt
}

// threadID tells a thread from all others. No other gets the same one while it is kept.
//
// Safety: it is the address of the runtime's m, which stands for one thread from the
// thread's start to its end where no C code is linked in. Its memory is used for another
// only when nothing points there any more; a kept threadID does. The kernel's number
// of a thread would not do: it is given to another at once. getm is one of the functions
// that Go keeps for linkname (go.dev/issue/67401).
type threadID unsafe.Pointer

// thisThread returns the calling thread's, which it has as long as the goroutine is
// locked to it.
func thisThread() threadID {
	m := getm()
	return *(*threadID)(unsafe.Pointer(&m))
}

//go:linkname getm runtime.getm
func getm() uintptr

// threadClock is the processor time that the calling thread has used, in
// nanoseconds. It takes 0.6 us.
//
// Safety: as threadFaults.
func threadClock() int64 {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
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
		before := threadFaults()
		view[page*pageSize] = first
		if threadFaults() == before {
			return false
		}
	}
	return true
}
