package main

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestABuildReplacesItsOutputAtOnce: a host may be reading the old module, and where the
// disk is full the old one is better than half of the new.
func TestABuildReplacesItsOutputAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "v1.wasm"), []byte("the old module"), 0o600))
	require.NoError(t, os.Symlink("v1.wasm", filepath.Join(dir, "hello.wasm")))
	old, err := os.Open(filepath.Join(dir, "hello.wasm"))
	require.NoError(t, err)
	defer old.Close()
	cmd := newRoot()
	cmd.SetArgs([]string{"build", "../modules/hello", "-o", filepath.Join(dir, "hello.wasm")})
	cmd.SetOut(io.Discard)
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	content, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Len(t, content, len("the old module"))
	link, err := os.Readlink(filepath.Join(dir, "hello.wasm"))
	require.NoError(t, err)
	require.Equal(t, "v1.wasm", link, "a link stays one")
	info, err := os.Stat(filepath.Join(dir, "v1.wasm"))
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(100_000))
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "whoever may not read it may not now either")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing else is left there")
}

// TestABuildThatIsInterruptedLeavesNothing in the directory for temporary files, where
// spore and the go command work.
func TestABuildThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "hello.wasm")
	cmd := exec.Command("spore", "build", "../modules/hello", "-o", out)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		found := false
		_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
			found = found || err == nil && entry.Name() == "b001"
			return nil
		})
		return found
	}, time.Minute, time.Millisecond, "the go command links")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoFileExists(t, out)
}
