//go:build !linux

package main

// machineMemory is how many bytes of memory this process may use at most. 0: it cannot be
// told.
func machineMemory() int64 { return 0 }
