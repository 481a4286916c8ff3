package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What the compiling process may use. Go's own modules of 20 MB stay below half
// of each; a module made to blow the compiler up does not.
const (
	maxCompileMemory  = 1536 << 20 // bytes of address space
	maxCompileSeconds = 30         // of processor time
)

// limitProcess bounds the memory and processor time of this process.
func limitProcess() error {
	for what, limit := range map[int]uint64{unix.RLIMIT_AS: maxCompileMemory, unix.RLIMIT_CPU: maxCompileSeconds} {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limit the compiling process: %w", err)
		}
	}
	return nil
}

// CompileLimits says what bounds the compiling process on this machine.
const CompileLimits = "1.5 GiB of memory and 30 s of processor time"
