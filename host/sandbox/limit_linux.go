package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What the compiling process may use. Go's own modules of 20 MB stay below half
// of each; a module made to blow the compiler up does not.
const (
	maxCompileMemory  = 1536 << 20 // bytes of address space, beside what the process begins with
	maxCompileSeconds = 30         // of processor time
)

// limitProcess bounds the memory and processor time of this process. The Go
// runtime, and the C library's threads, reserve a good deal of address space
// before anything is compiled, which does not count.
func limitProcess() error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("limit the compiling process: %w", err)
	}
	var pages uint64
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return fmt.Errorf("limit the compiling process: %w", err)
	}
	for what, limit := range map[int]uint64{
		unix.RLIMIT_AS:  pages*uint64(os.Getpagesize()) + maxCompileMemory,
		unix.RLIMIT_CPU: maxCompileSeconds,
	} {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limit the compiling process: %w", err)
		}
	}
	return nil
}

// CompileLimits says what bounds the compiling process on this machine.
const CompileLimits = "1.5 GiB of memory and 30 s of processor time"
