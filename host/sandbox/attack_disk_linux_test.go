package sandbox_test

import (
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

// smallDisk returns a directory on a file system of its own.
func smallDisk(t *testing.T) (dir string, remount func(flags uintptr)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("cannot mount a file system here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir, func(flags uintptr) { require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "")) }
}

// TestM7AFullDisk: what was made before is served, what is not there cannot be made
// and is refused with the reason, and all is well when there is room again.
func TestM7AFullDisk(t *testing.T) {
	dir, _ := smallDisk(t)
	known, unknown := saying("hello"), saying("news")
	prepare := func(wasm []byte) (*sandbox.Image, error) {
		return openEngine(t, sandbox.Options{Directory: dir}).Prepare(t.Context(), wasm, capable())
	}
	serves := func(wasm []byte, want string) {
		img, err := prepare(wasm)
		require.NoError(t, err)
		defer img.Close()
		res, _, err := ask(t, img, abi.Event{}, 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, want, string(res.Body))
	}
	serves(known, "hello")

	full, err := os.Create(filepath.Join(dir, "full"))
	require.NoError(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, full.Close())
	serves(known, "hello")
	_, err = prepare(unknown)
	require.ErrorContains(t, err, "no space left on device")
	serves(known, "hello")

	require.NoError(t, os.Remove(full.Name()))
	serves(unknown, "news")
	left, err := filepath.Glob(filepath.Join(dir, "*", ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left, "nothing half made is left")
}

// TestM7ADiskThatIsFullForTheCompiler is the host's trouble, of which its operator reads
// what helps, and not the module's.
func TestM7ADiskThatIsFullForTheCompiler(t *testing.T) {
	dir, _ := smallDisk(t)
	e := openEngine(t, sandbox.Options{Directory: dir, Compiler: compiler("well")})
	full, err := os.Create(filepath.Join(dir, "full"))
	require.NoError(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, full.Close())
	_, err = e.Prepare(t.Context(), answering(), capable())
	require.Equal(t, abi.Internal, function.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "no space left on device; make room")
}

// TestM7AReadOnlyDisk serves what is there.
func TestM7AReadOnlyDisk(t *testing.T) {
	dir, remount := smallDisk(t)
	serve := func(wasm []byte) error {
		img, err := openEngine(t, sandbox.Options{Directory: dir}).Prepare(t.Context(), wasm, capable())
		if err != nil {
			return err
		}
		defer img.Close()
		_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
		return err
	}
	require.NoError(t, serve(saying("hello")))
	remount(unix.MS_RDONLY)
	require.NoError(t, serve(saying("hello")))
	require.ErrorContains(t, serve(saying("news")), "read-only file system")
	remount(0)
	require.NoError(t, serve(saying("news")))
}
