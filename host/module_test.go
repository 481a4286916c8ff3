package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/sandbox"
)

func TestAModuleIsReadAgainOnlyWhenItsFileMayHaveChanged(t *testing.T) {
	dir, lastWeek := t.TempDir(), time.Now().Add(-7*24*time.Hour)
	write := func(t *testing.T, path, text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, lastWeek, lastWeek)) // all have the same, as from an archive
	}
	later := time.Hour // than the file's last change it is read
	for name, c := range map[string]struct {
		age    time.Duration
		change func(t *testing.T, path string)
		read   bool
	}{
		"nothing":                          {later, func(*testing.T, string) {}, false},
		"nothing, just after it was made":  {0, func(*testing.T, string) {}, true},
		"bytes, but neither size nor time": {later, func(t *testing.T, path string) { write(t, path, "two") }, true},
		"size":                             {later, func(t *testing.T, path string) { write(t, path, "three") }, true},
		"another file in its place": {later, func(t *testing.T, path string) {
			write(t, path+".new", "two")
			require.NoError(t, os.Rename(path+".new", path))
		}, true},
		"another file after it was removed": {later, func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			write(t, path, "two") // which may get the same inode
		}, true},
		"what a link names": {later, func(t *testing.T, path string) {
			write(t, path+".new", "two")
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(path+".new", path))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			write(t, path, "one")
			var files moduleFiles
			first, err := files.module(path, time.Now().Add(c.age))
			require.NoError(t, err)
			require.Equal(t, sandbox.Digest([]byte("one")), first.digest)
			c.change(t, path)
			second, err := files.module(path, time.Now().Add(c.age))
			require.NoError(t, err)
			require.Equal(t, c.read, second.wasm != nil)
			wasm, err := second.bytes()
			require.NoError(t, err, "its digest is that of its bytes")
			require.Equal(t, sandbox.Digest(wasm), second.digest)
		})
	}
}

func TestAModuleThatIsNotWhatItsDigestSaysIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.wasm")
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
	m := module{digest: sandbox.Digest([]byte("one")), path: path}
	_, err := m.bytes()
	require.ErrorContains(t, err, "changed while it was deployed; deploy again")
}

// TestAFileThatIsNoModuleIsNotRead: a disk image by its name would take all memory.
func TestAFileThatIsNoModuleIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.wasm")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<30)) // a hole
	var files moduleFiles
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := files.module(path, time.Now())
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "has 1024 MiB; a module may have 64")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}
