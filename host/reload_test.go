package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/config"
)

// soon ends when a watcher that has not noticed anything will not any more.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestADirectoryWithTwoNames has a link to a module's directory. The kernel watches
// it once, by whichever name came first.
func TestADirectoryWithTwoNames(t *testing.T) {
	t.Parallel()
	dir := newDir(t, "[function.a]\nmodule = \"m/a.wasm\"\n[function.b]\nmodule = \"link/b.wasm\"\n")
	real := filepath.Join(dir, "m")
	require.NoError(t, os.Mkdir(real, 0o700))
	require.NoError(t, os.Symlink("m", filepath.Join(dir, "link")))
	for _, name := range []string{"a.wasm", "b.wasm"} {
		require.NoError(t, os.WriteFile(filepath.Join(real, name), nil, 0o600))
	}
	w, err := newWatcher(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer w.Close()
	cfg, err := config.Load(filepath.Join(dir, "functions.toml"))
	require.NoError(t, err)
	require.True(t, w.follow(t.Context(), cfg))
	require.False(t, w.follow(t.Context(), cfg), "a host that finds something to be watched each time looks for ever")
	for _, name := range []string{"a.wasm", "b.wasm"} {
		require.NoError(t, os.WriteFile(filepath.Join(real, name), nil, 0o600))
		require.True(t, w.wait(soon(t), nil))
	}
}
