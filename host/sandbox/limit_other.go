//go:build !linux

package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	maxCompileMemory  = 1536 << 20 // what a limit would be; nothing enforces it here
	maxCompileSeconds = 30         // of processor time
)

// limitProcess bounds this process's processor time. There is no limit on memory
// that these systems enforce.
func limitProcess() error {
	limit := unix.Rlimit{Cur: maxCompileSeconds, Max: maxCompileSeconds}
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &limit); err != nil {
		return fmt.Errorf("limit the compiling process: %w", err)
	}
	return nil
}

// CompileLimits says what bounds the compiling process on this machine.
const CompileLimits = "30 s of processor time; this system has no limit on memory to set"
