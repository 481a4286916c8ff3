package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/sandbox"
)

func TestAModuleIsReadAgainOnlyWhenItsFileMayHaveChanged(t *testing.T) {
	hourAgo := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		time    time.Time // of the file when it is first read
		change  func(t *testing.T, path string)
		noticed bool
	}{
		"nothing": {hourAgo, func(*testing.T, string) {}, false},
		"bytes, but neither size nor time": {hourAgo, func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
			require.NoError(t, os.Chtimes(path, hourAgo, hourAgo))
		}, false}, // which shows that it was not read
		"bytes and time": {hourAgo, func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
		}, true},
		"size": {hourAgo, func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("three"), 0o600))
			require.NoError(t, os.Chtimes(path, hourAgo, hourAgo))
		}, true},
		"another file in its place": {hourAgo, func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".new", []byte("two"), 0o600))
			require.NoError(t, os.Chtimes(path+".new", hourAgo, hourAgo))
			require.NoError(t, os.Rename(path+".new", path))
		}, true},
		"within the file system's idea of an instant": {time.Now(), func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
			require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.wasm")
			require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
			require.NoError(t, os.Chtimes(path, c.time, c.time))
			var files moduleFiles
			first, err := files.module(path)
			require.NoError(t, err)
			require.Equal(t, sandbox.Digest([]byte("one")), first.digest)
			c.change(t, path)
			second, err := files.module(path)
			require.NoError(t, err)
			require.Equal(t, c.noticed, second.digest != first.digest)
			if c.noticed {
				wasm, err := second.bytes()
				require.NoError(t, err)
				require.Equal(t, second.digest, sandbox.Digest(wasm))
			}
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
