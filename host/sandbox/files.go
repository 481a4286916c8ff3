package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// files is the engine's directory. Everything in it follows from modules and
// settings, carries its own digest, and is made again when it is missing or
// damaged:
//
//	modules/DIGEST       modules as they were given
//	modules/DIGEST.code  the key of a module's compiled code
//	code/KEY/            compiled code (program.go)
//	images/KEY           snapshots (snapshot.go)
type files struct{ root, modules, code, images string }

func openFiles(dir string) (files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return files{}, err
	}
	f := files{dir, filepath.Join(dir, "modules"), filepath.Join(dir, "code"), filepath.Join(dir, "images")}
	return f, f.makeDirectories()
}

// makeDirectories makes those that are not there, or no longer.
func (f *files) makeDirectories() error {
	for _, d := range []string{f.root, f.modules, f.code, f.images} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := checkWriters(d); err != nil {
			return err
		}
	}
	return nil
}

// checkWriters refuses a directory that somebody else has made, or opened to
// everybody: who can write to it can have the host run any code, because digests are
// no signatures. Root can do that anyway, and that a group may write is
// somebody's intention (as with an fsGroup of Kubernetes).
func checkWriters(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode()&0o002 != 0 {
		return fmt.Errorf("everybody may write to %s, and have the host run any code; delete what is in it, which is made again, and then chmod o-w it, or set data in functions.toml to a directory that has permissions", dir)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("another user (uid %d) may write to %s, and have the host run any code; run spore as that user, or delete it, which is made again, or set data in functions.toml to another directory", stat.Uid, dir)
	}
	return nil
}

// writeFile replaces the file at path as a whole or not at all.
func writeFile(path string, parts ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after a rename there is nothing to remove
	defer f.Close()
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// sealed is the digest that stands in front of content in the file called name, and
// unseal takes it off again. What a disk has changed, or somebody has moved, is
// noticed before anything is made of it.
func sealed(name string, content []byte) (digest []byte) {
	h := sha256.New()
	_, _ = io.WriteString(h, name)
	_, _ = h.Write(content)
	return h.Sum(nil)
}

var errDamaged = errors.New("the file is damaged")

func unseal(name string, file []byte) ([]byte, error) {
	if len(file) < sha256.Size {
		return nil, errDamaged
	}
	content := file[sha256.Size:]
	if !bytes.Equal(sealed(name, content), file[:sha256.Size]) {
		return nil, errDamaged
	}
	return content, nil
}

// touch marks a file as used today: what has not been for long may be collected.
func touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

// Digest returns a module's identity: its SHA-256 in lower-case hex.
func Digest(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}

// keepModule stores a module for the day when what follows from it is damaged.
func (f *files) keepModule(digest string, wasm []byte) error {
	path := filepath.Join(f.modules, digest)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(wasm)) {
		return nil
	}
	return writeFile(path, wasm)
}

func (f *files) hasModule(digest string) bool {
	info, err := os.Stat(filepath.Join(f.modules, digest))
	return err == nil && info.Size() > 0
}

// module returns a stored module. One that is damaged is deleted, so that the next
// deploy stores it again.
func (f *files) module(digest string) ([]byte, error) {
	path := filepath.Join(f.modules, digest)
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if Digest(wasm) != digest {
		return nil, errors.Join(errDamaged, os.Remove(path))
	}
	return wasm, nil
}

func (f *files) codeOfPath(digest string) string { return filepath.Join(f.modules, digest+".code") }

// keepCodeOf notes which compiled code is a module's.
func (f *files) keepCodeOf(digest, key string) error {
	return writeFile(f.codeOfPath(digest), sealed(codeBase()+digest, []byte(key)), []byte(key))
}

// codeOf returns the key of a module's compiled code.
func (f *files) codeOf(digest string) (string, error) {
	file, err := os.ReadFile(f.codeOfPath(digest))
	if err != nil {
		return "", err
	}
	key, err := unseal(codeBase()+digest, file)
	return string(key), err
}
