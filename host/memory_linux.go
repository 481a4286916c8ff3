package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machineMemory is how many bytes of memory this process may use at most: what the machine
// has, or less where its control group says so (cgroups(7)). 0: it cannot be told.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return groupMemory("/sys/fs/cgroup", string(groups), int64(uint64(info.Totalram)*uint64(info.Unit)))
}

// groupMemory returns most, or the lowest limit below it of the control groups of a
// process, which are named by lines like "0::/system.slice/spore.service", and of those
// around them. Version 2 and 1 of the file system have it in different places.
func groupMemory(root, groups string, most int64) int64 {
	for line := range strings.Lines(groups) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(line, ":")
		top, file := root, "memory.max"
		if controllers == "memory" {
			top, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		} else if controllers != "" {
			continue
		}
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			text, _ := os.ReadFile(filepath.Join(top, path, file)) // the outermost group has none
			if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				most = min(most, limit)
			}
			if path == "/" {
				break
			}
		}
	}
	return most
}
