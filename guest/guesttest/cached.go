package guesttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readModule opens every directory of the module in which dir is, because that is
// what makes the go command forget a test's result when a file there changes ("go
// help test"). The test's binary does not tell: the linker leaves out of it what
// only main reaches, which is the function. Other modules the go command ignores.
func readModule(dir string) {
	root := moduleRoot(dir)
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		return nil // what cannot be read is the build's to complain about
	})
}

// moduleRoot is the directory of the go.mod for dir, or dir without one.
func moduleRoot(dir string) string {
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root
		}
		if root == filepath.Dir(root) {
			return dir
		}
	}
}
