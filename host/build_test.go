package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

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
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing else is left there")
}
