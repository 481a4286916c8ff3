// Package testmodule builds guest modules for tests. Every package's tests share
// one folder of built modules and compiled code in the user's cache directory;
// what is in it is addressed by its content or checked by the Go toolchain, and
// deleting it costs time only.
package testmodule

import (
	"os"
	"path/filepath"
	"testing"

	"spore/host/gobuild"
)

// Directory returns the shared folder.
func Directory(tb testing.TB) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "spore-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Build returns the module built from the Go command in dir, which is relative
// to the test's package.
func Build(tb testing.TB, dir string) []byte {
	tb.Helper()
	wasm, err := gobuild.Build(tb.Context(), dir, filepath.Join(Directory(tb), "built"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}
