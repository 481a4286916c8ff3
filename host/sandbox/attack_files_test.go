package sandbox_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// saying is a guest that answers with a body.
func saying(body string) []byte {
	frame := abi.AppendResult(nil, &abi.Result{Body: []byte(body)})
	return handmade{data: map[uint32][]byte{0x1000: frame},
		serve: []step{take(anyResult), call(abi.ImportSendResponse, 0, 0x1000, int32(len(frame)))}}.bytes()
}

// derived is an engine's directory and a copy of it as it was when it was whole.
type derived struct {
	t          *testing.T
	dir, whole string
	wasm       []byte
}

func newDerived(t *testing.T) *derived {
	d := &derived{t: t, dir: t.TempDir(), whole: t.TempDir(), wasm: saying("hello")}
	d.requireServes()
	require.NoError(t, os.CopyFS(d.whole, os.DirFS(d.dir)))
	return d
}

// requireServes deploys the guest as a host does that starts.
func (d *derived) requireServes() {
	d.t.Helper()
	img, err := openEngine(d.t, sandbox.Options{Directory: d.dir}).Prepare(d.t.Context(), d.wasm, capable())
	require.NoError(d.t, err)
	defer img.Close()
	d.requireAnswer(img)
}

func (d *derived) requireAnswer(img *sandbox.Image) {
	d.t.Helper()
	res, _, err := ask(d.t, img, abi.Event{}, 5*time.Second)
	require.NoError(d.t, err)
	require.Equal(d.t, "hello", string(res.Body))
}

// survives damages the directory between two starts, and while the function is at
// rest. Either way it is served, and so it is again by the next host.
func (d *derived) survives(damage func()) {
	d.t.Helper()
	d.restore()
	damage()
	d.requireServes()
	d.requireServes()

	d.restore()
	img, err := openEngine(d.t, sandbox.Options{Directory: d.dir}).Prepare(d.t.Context(), d.wasm, capable())
	require.NoError(d.t, err)
	defer img.Close()
	require.False(d.t, img.Resident())
	damage()
	d.requireAnswer(img)
}

func (d *derived) restore() {
	require.NoError(d.t, os.RemoveAll(d.dir))
	require.NoError(d.t, os.CopyFS(d.dir, os.DirFS(d.whole)))
}

func (d *derived) loseSnapshots() {
	require.NoError(d.t, os.RemoveAll(d.path("images")))
	require.NoError(d.t, os.MkdirAll(d.path("images"), 0o700))
}

func (d *derived) path(name string) string { return filepath.Join(d.dir, name) }

func (d *derived) write(name string, content []byte) {
	require.NoError(d.t, os.WriteFile(d.path(name), content, 0o600))
}

// files returns all files by name.
func (d *derived) files() map[string][]byte {
	files := map[string][]byte{}
	require.NoError(d.t, fs.WalkDir(os.DirFS(d.whole), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = os.ReadFile(filepath.Join(d.whole, name))
		return err
	}))
	return files
}

// one returns the only file that matches.
func (d *derived) one(pattern string) (name string, content []byte) {
	for n, c := range d.files() {
		if ok, _ := filepath.Match(pattern, n); ok {
			require.Empty(d.t, name)
			name, content = n, c
		}
	}
	require.NotEmpty(d.t, name)
	return name, content
}

func TestM7DamagedFilesAreMadeAgain(t *testing.T) {
	d := newDerived(t)
	require.Len(t, d.files(), 6, "module, which code it has, skeleton, code, digest and snapshot")
	for name, content := range d.files() {
		t.Run(name, func(t *testing.T) {
			d.t = t
			survives := d.survives
			if filepath.Ext(name) == ".code" { // it is read when there is no snapshot
				survives = func(damage func()) {
					d.t.Helper()
					d.survives(func() {
						damage()
						d.loseSnapshots()
					})
				}
			}
			step := times(max(1, len(content)/15), 1)
			for at := 0; at < len(content); at += step {
				survives(func() { d.write(name, flip(content, at)) })
			}
			for _, other := range [][]byte{nil, content[:1], content[:len(content)/2], content[:len(content)-1], append(bytes.Clone(content), 0), bytes.Repeat([]byte{0xff}, len(content))} {
				survives(func() { d.write(name, other) })
			}
			survives(func() { require.NoError(t, os.Remove(d.path(name))) })
			survives(func() {
				require.NoError(t, os.Remove(d.path(name)))
				require.NoError(t, os.Mkdir(d.path(name), 0o700))
			})
			survives(func() {
				require.NoError(t, os.Remove(d.path(name)))
				require.NoError(t, os.Symlink("nowhere", d.path(name)))
			})
		})
	}
}

func TestM7DeletedPartsAreMadeAgain(t *testing.T) {
	d := newDerived(t)
	entry, _ := d.one("code/*/wazero-*/*")
	code := filepath.Dir(filepath.Dir(entry))
	for _, name := range []string{filepath.Dir(entry), code, "images"} {
		d.survives(func() {
			require.NoError(t, os.RemoveAll(d.path(name)))
			require.NoError(t, os.MkdirAll(d.path("images"), 0o700))
		})
	}
	d.survives(func() { d.write(filepath.Join(filepath.Dir(entry), "second"), []byte("x")) })
	d.restore()
	require.NoError(t, os.RemoveAll(d.dir))
	d.requireServes()

	d.restore()
	img, err := openEngine(t, sandbox.Options{Directory: d.dir}).Prepare(t.Context(), d.wasm, capable())
	require.NoError(t, err)
	defer img.Close()
	require.NoError(t, os.RemoveAll(d.path("code")))
	require.NoError(t, os.RemoveAll(d.path("modules")))
	_, err = img.Open(t.Context())
	require.Equal(t, abi.Internal, function.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "deploy the function again", "nothing is left to make it from")
}

// TestM7CodeOfAnotherModuleIsNotRun exchanges whole files and directories that are
// each in order.
func TestM7CodeOfAnotherModuleIsNotRun(t *testing.T) {
	d := newDerived(t)
	other := newDerived(t)
	other.wasm = saying("something else") // of another length, which is in its code
	require.NoError(t, os.RemoveAll(other.dir))
	img, err := openEngine(t, sandbox.Options{Directory: other.dir}).Prepare(t.Context(), other.wasm, capable())
	require.NoError(t, err)
	img.Close()
	other.whole = other.dir
	ours, _ := d.one("code/*/skeleton")
	theirs, _ := other.one("code/*/skeleton")
	require.NotEqual(t, ours, theirs)
	d.survives(func() {
		require.NoError(t, os.RemoveAll(d.path(filepath.Dir(ours))))
		require.NoError(t, os.CopyFS(d.path(filepath.Dir(ours)), os.DirFS(filepath.Join(other.dir, filepath.Dir(theirs)))))
	})
	ours, _ = d.one("images/*")
	_, content := other.one("images/*")
	d.survives(func() { d.write(ours, content) })

	ours, _ = d.one("modules/*.code") // names code that is there and whole
	_, content = other.one("modules/*.code")
	d.survives(func() {
		require.NoError(t, os.CopyFS(d.path(filepath.Dir(theirs)), os.DirFS(filepath.Join(other.dir, filepath.Dir(theirs)))))
		d.write(ours, content)
		d.loseSnapshots()
	})
}

// TestM7ADamagedModuleIsNotRun, also when nothing else is left that a function at rest
// could be made from. Deploying it again helps.
func TestM7ADamagedModuleIsNotRun(t *testing.T) {
	d := newDerived(t)
	name := filepath.Join("modules", sandbox.Digest(d.wasm))
	damaged := [][]byte{nil, d.wasm[:len(d.wasm)/2], append(bytes.Clone(d.wasm), 0), saying("other")}
	for at := 0; at < len(d.wasm); at += times(len(d.wasm)/15, 1) {
		damaged = append(damaged, flip(d.wasm, at))
	}
	for _, content := range damaged {
		damage := func() {
			d.write(name, content)
			d.loseSnapshots()
			require.NoError(t, os.RemoveAll(d.path("code")))
			require.NoError(t, os.Mkdir(d.path("code"), 0o700))
		}
		d.restore()
		damage()
		d.requireServes()
		d.requireServes()

		d.restore()
		img, err := openEngine(t, sandbox.Options{Directory: d.dir}).Prepare(t.Context(), d.wasm, capable())
		require.NoError(t, err)
		damage()
		_, err = img.Open(t.Context())
		require.Equal(t, abi.Internal, function.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "deploy the function again")
		d.requireServes()
		d.requireAnswer(img)
		img.Close()
	}
}

// TestM7ASkeletonIsNeverRun has wazero refuse a cache entry that is what the
// digest says: it then compiles what it was given, which is a module of empty
// functions.
func TestM7ASkeletonIsNeverRun(t *testing.T) {
	d := newDerived(t)
	entry, code := d.one("code/*/wazero-*/*")
	digest, _ := d.one("code/*/digest")
	_, skeleton := d.one("code/*/skeleton")
	seal := func(entry string, code []byte) {
		h := sha256.New()
		fmt.Fprintf(h, "%s %s %d\n", filepath.Base(filepath.Dir(digest)), filepath.Base(entry), len(skeleton))
		_, _ = h.Write(skeleton)
		_, _ = h.Write(code)
		d.write(digest, []byte(hex.EncodeToString(h.Sum(nil))))
	}
	d.survives(func() { seal(entry, code) })
	inode := func() fs.FileInfo {
		info, err := os.Stat(d.path(entry))
		require.NoError(t, err)
		return info
	}
	d.restore()
	before := inode()
	seal(entry, code)
	d.requireServes()
	require.True(t, os.SameFile(before, inode()), "the digest of this test is the host's own")

	for name, at := range map[string]int{"the magic number": 0, "the version's length": 6, "the version": 7} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			d.survives(func() {
				d.write(entry, flip(code, at))
				seal(entry, flip(code, at))
			})
		})
	}
	t.Run("the name of another processor", func(t *testing.T) {
		d.t = t
		another := filepath.Join(filepath.Dir(entry), "0123456789abcdef")
		d.survives(func() {
			require.NoError(t, os.Rename(d.path(entry), d.path(another)))
			seal(another, code)
		})
	})
}

// TestM7ADirectoryThatOthersWriteIsRefused: who can write there can have the host run
// machine code.
func TestM7ADirectoryThatOthersWriteIsRefused(t *testing.T) {
	stranger := os.Geteuid() + 1
	for _, name := range []string{".", "modules", "code", "images"} {
		for change, want := range map[string]struct {
			do  func(path string) error
			err string // "" where the directory is accepted
		}{
			"everybody may write":      {func(path string) error { return os.Chmod(path, 0o703) }, "everybody may write to "},
			"and remove their own":     {func(path string) error { return os.Chmod(path, 0o777|fs.ModeSticky) }, "everybody may write to "},
			"everybody may read":       {func(path string) error { return os.Chmod(path, 0o755) }, ""},
			"the group may write":      {func(path string) error { return os.Chmod(path, 0o770) }, ""},
			"it belongs to a stranger": {func(path string) error { return os.Chown(path, stranger, -1) }, fmt.Sprintf("another user (uid %d) may write to ", stranger)},
		} {
			t.Run(name+", "+change, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(path, 0o700))
				if err := want.do(path); err != nil {
					t.Skip(err) // only root gives directories away
				}
				_, err := sandbox.Open(sandbox.Options{Directory: dir})
				if want.err == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, want.err+path)
				require.ErrorContains(t, err, "which is made again")
			})
		}
	}
}
