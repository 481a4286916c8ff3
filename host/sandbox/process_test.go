package sandbox_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// processMemory returns a line of /proc/self/status in bytes.
func processMemory(t *testing.T, name string) (n int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("looks at memory through /proc, which is not here")
	}
	_, rest, _ := strings.Cut(string(status), "\n"+name+":")
	_, err = fmt.Sscan(rest, &n)
	require.NoError(t, err)
	return n << 10
}

// atRest is processMemory without what the collector would free.
func atRest(t *testing.T, name string) int64 {
	t.Helper()
	runtime.GC() // twice, because finalizers free compiled code
	debug.FreeOSMemory()
	return processMemory(t, name)
}

// rise returns by how much the process's memory went up at most while fn ran, and
// by how much it is up after it.
func rise(t *testing.T, fn func()) (most, left int64) {
	t.Helper()
	before := atRest(t, "VmRSS")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak is now
		t.Skip("the kernel does not take the peak of memory back")
	}
	fn()
	most = processMemory(t, "VmHWM") - before
	left = atRest(t, "VmRSS") - before
	t.Logf("memory rose by %d KiB at most, and by %d KiB for good", most>>10, left>>10)
	return most, left
}

// raced reports whether the race detector is in this program. It takes memory for what a
// test measures, and ends a process that has no more in words of its own.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
