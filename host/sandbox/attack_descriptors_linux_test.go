package sandbox_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// withDescriptors runs fn where the process may open so many files more.
func withDescriptors(t *testing.T, free int, fn func()) {
	t.Helper()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	limit := before
	limit.Cur = min(256, before.Cur)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	var taken []int
	defer func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
	}()
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			require.ErrorIs(t, err, unix.EMFILE)
			break
		}
		taken = append(taken, fd)
	}
	for range free {
		require.NoError(t, unix.Close(taken[0]))
		taken = taken[1:]
	}
	fn()
}

// TestX1AFunctionAtRestWaitsForDescriptors: where there are too few to bring it into
// memory, that is no fault of the function's or its files', which are left as they are.
func TestX1AFunctionAtRestWaitsForDescriptors(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, sandbox.Options{Directory: dir, Compiler: compiler("well"), Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), saying("hello"), capable())
	require.NoError(t, err)
	defer img.Close()
	files := func() map[string]fs.FileInfo {
		found := map[string]fs.FileInfo{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				found[path], err = os.Stat(path)
			}
			return err
		}))
		return found
	}
	before := files()
	for free, woke := 0, false; !woke; free++ {
		withDescriptors(t, free, func() {
			sb, err := img.Open(t.Context())
			if woke = err == nil; woke {
				sb.Close()
				return
			}
			require.Equal(t, abi.Overloaded, function.KindOf(err), "%d free: %v", free, err)
		})
		for path, info := range files() {
			require.True(t, os.SameFile(before[path], info), "with %d free %s was made again", free, path)
		}
	}
	res, _, err := ask(t, img, abi.Event{}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, "hello", string(res.Body))
}
