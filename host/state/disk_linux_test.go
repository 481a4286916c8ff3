package state

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"spore/abi"
)

// TestADiskThatIsFull fills the disk under a store: what was acknowledged stays, and
// the store goes on when there is room again.
func TestADiskThatIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a file system here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s, ctx := open(t, Options{Directory: filepath.Join(dir, "state"), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}), t.Context()
	b := bucket(t, s, "f", 64<<20)
	written := 0
	var err error
	for ; err == nil; written++ {
		_, err = b.Put(ctx, fmt.Sprint("k", written), make([]byte, 100<<10), 0)
	}
	written--
	requireKind(t, abi.Unavailable, err)
	require.ErrorContains(t, err, "free some")
	require.Greater(t, written, 40)

	again := func() { // as time does
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = time.Time{}
	}
	again()
	_, err = b.Put(ctx, "k", make([]byte, 100<<10), 0)
	requireKind(t, abi.Unavailable, err, "still full")
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"))
	again()
	for i := range written {
		e, err := b.Get(ctx, fmt.Sprint("k", i))
		require.NoError(t, err, "what was acknowledged")
		require.Len(t, e.Value, 100<<10)
	}
	_, err = b.Put(ctx, "k", make([]byte, 100<<10), 0)
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(dir, "state"))
	require.NoError(t, err)
}
