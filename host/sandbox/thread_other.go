//go:build !linux

package sandbox

import "time"

// usage is what the kernel has counted for the calling thread so far.
type usage struct {
	faults int64
	cpu    time.Duration
}

var processStart = time.Now()

// threadUsage has the wall clock for processor time: a run is paused while it
// waits, so that what is left is close. Faults are not counted by thread here.
func threadUsage() usage { return usage{cpu: time.Since(processStart)} }
