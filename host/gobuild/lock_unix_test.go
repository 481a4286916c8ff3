//go:build unix

package gobuild_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/gobuild"
)

// TestABuildThatWaitsForAnotherCanBeStopped has the other in progress for ever, as it
// seems where the standard library is compiled for the first time.
func TestABuildThatWaitsForAnotherCanBeStopped(t *testing.T) {
	dir, cache := filepath.Join(program(t), "cmd"), t.TempDir()
	built, err := gobuild.Build(t.Context(), dir, cache)
	require.NoError(t, err)
	locks, err := filepath.Glob(filepath.Join(cache, "*.lock"))
	require.NoError(t, err)
	require.Len(t, locks, 1)
	other, err := os.Open(locks[0])
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX))

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := gobuild.Build(ctx, dir, cache)
		ended <- err
	}()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it goes on waiting")
	}
	require.NoError(t, other.Close())
	again, err := gobuild.Build(t.Context(), dir, cache)
	require.NoError(t, err)
	require.Equal(t, built, again)
}

// TestTheLockOfABuildIsNoOldFile: it would be collected, and a second build begin beside the
// first.
func TestTheLockOfABuildIsNoOldFile(t *testing.T) {
	dir, cache := filepath.Join(program(t), "cmd"), t.TempDir()
	past := time.Now().Add(-time.Hour)
	for range 2 {
		_, err := gobuild.Build(t.Context(), dir, cache)
		require.NoError(t, err)
		locks, err := filepath.Glob(filepath.Join(cache, "*.lock"))
		require.NoError(t, err)
		require.Len(t, locks, 1)
		info, err := os.Stat(locks[0])
		require.NoError(t, err)
		require.True(t, info.ModTime().After(past))
		require.NoError(t, os.Chtimes(locks[0], past, past))
	}
}
