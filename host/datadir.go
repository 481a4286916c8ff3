package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// derivedAge is how long a derived file is kept since it was last used: deployed,
// brought into memory, or its function's host was running (touchTime).
const derivedAge = 30 * 24 * time.Hour

// attachedAge is the same for hosts that tests start, and where all files together are
// over derivedRoom. Every change of a function leaves 3 to 60 MB, and every port of a
// stand-in that its env names half a megabyte.
const attachedAge = 24 * time.Hour

// derivedRoom is how many bytes derived files may take before they are kept for less
// long. What all functions that serve need is kept, whatever it takes.
const derivedRoom = 1 << 30

// dataDir is the host's data directory, locked:
//
//	lock      held by the running host; names its process
//	derived/  built modules, compiled code, snapshots; what is deleted is made again by the next deploy
//	state/    what functions keep, in files of NATS JetStream; only the host may write here
type dataDir struct{ lock *os.File }

// openDataDir creates and locks the directory, so that two hosts never share it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, unwritable(err)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(name)
		lock.Close()
		return nil, fmt.Errorf("data directory %s is in use by %s; stop that host, or set data in functions.toml to another directory",
			path, strings.TrimSpace(string(holder)))
	}
	if err := writeHolder(lock); err != nil {
		lock.Close()
		return nil, unwritable(err)
	}
	return &dataDir{lock}, nil
}

func unwritable(err error) error {
	return fmt.Errorf("open data directory: %w; set data in functions.toml to a directory you may write, on a disk with room", err)
}

func writeHolder(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt(fmt.Appendf(nil, "process %d\n", os.Getpid()), 0)
	return err
}

// Close gives the directory to the next host. It unlocks by word, because a process
// that is just being started has the file too for a moment, and the lock with it.
func (d *dataDir) Close() error {
	return errors.Join(unix.Flock(int(d.lock.Fd()), unix.LOCK_UN), d.lock.Close())
}

// collect deletes derived files that nobody has used for age, or for a day where there are
// many, and directories that have not changed for as long and are empty then. derived may
// be a link to a directory that hosts share.
func collect(derived string, now time.Time, age time.Duration) (removed int) {
	if real, err := filepath.EvalSymlinks(derived); err == nil {
		derived = real
	}
	var old, unused []string // for age, and for a day; a directory before what is in it
	var size int64
	_ = filepath.WalkDir(derived, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == derived {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		size += info.Size()
		if now.Sub(info.ModTime()) > age {
			old = append(old, path)
		}
		if now.Sub(info.ModTime()) > attachedAge {
			unused = append(unused, path)
		}
		return nil
	})
	if size > derivedRoom {
		old = unused
	}
	for _, path := range slices.Backward(old) {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() && now.Sub(info.ModTime()) <= attachedAge {
			continue // another host has begun to use it
		}
		if os.Remove(path) == nil { // no directory with anything in it
			removed++
		}
	}
	return removed
}
