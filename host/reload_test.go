package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
)

// oneModule has its module beside functions.toml, in a directory that is not watched for
// that alone.
const oneModule = "[function.hello]\nmodule = \"modules/hello.wasm\"\n[[function.hello.route]]\npath = \"/\"\n"

// writeModule puts a variant of the hello module in its place at once, which is one
// event for whoever watches.
func writeModule(t *testing.T, dir string, n int) (greeting string) {
	t.Helper()
	wasm, greeting := variant(t, n)
	path := filepath.Join(t.TempDir(), "hello.wasm")
	require.NoError(t, os.WriteFile(path, wasm, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "modules"), 0o700))
	require.NoError(t, os.Rename(path, filepath.Join(dir, "modules", "hello.wasm")))
	return greeting
}

// openWatcher opens a watcher and reads functions.toml after it, as serve does.
func openWatcher(t *testing.T, dir string) (*watcher, *config.Config) {
	t.Helper()
	w := new(watcher)
	t.Cleanup(w.close)
	path := filepath.Join(dir, "functions.toml")
	require.NoError(t, w.open(path))
	cfg, err := config.Load(path)
	require.NoError(t, err)
	return w, cfg
}

// soon ends when a watcher that has not noticed anything will not any more.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAHostOfModulesLooksAtThemOnce(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	writeModule(t, dir, 0)
	h := startHost(t, dir, time.Now)
	greeting := writeModule(t, dir, 1)
	h.logged("live", 2)
	require.Equal(t, greeting, h.get("/").body)
	h.logged("reloaded", 1)
	require.NoError(t, h.stop())
	require.Len(t, h.logged("reloaded", 1), 1, "for the change, and none before")
}

// atFirst is an output that does something before the first write to it goes on.
type atFirst struct {
	buffer
	do     func()
	writes int
}

func (a *atFirst) Write(p []byte) (int, error) {
	if a.writes++; a.writes == 1 {
		a.do()
	}
	return a.buffer.Write(p)
}

// TestWhatChangesDuringTheFirstDeployIsDeployed changes files when all functions are
// deployed and nothing is served yet.
func TestWhatChangesDuringTheFirstDeployIsDeployed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir string){
		"a module":       func(t *testing.T, dir string) { writeModule(t, dir, 1) },
		"functions.toml": func(t *testing.T, dir string) { writeConfig(t, dir, oneModule+"[function.hello.env]\nA = \"1\"\n") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t, oneModule)
			writeModule(t, dir, 0)
			h := &testHost{t: t, dir: dir}
			out := &atFirst{do: func() { change(t, dir) }}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- serve(ctx, serveOptions{config: filepath.Join(dir, "functions.toml"), out: out, logs: &h.logs, now: time.Now})
			}()
			require.Equal(t, 2.0, h.logged("live", 2)[1]["version"])
			cancel()
			require.NoError(t, <-ended)
		})
	}
}

// TestWhatIsReadIsWatchedBefore changes every kind of file as soon as it may have been
// read.
func TestWhatIsReadIsWatchedBefore(t *testing.T) {
	t.Parallel()
	const toml = "[secrets]\nfile = \"s/secrets.toml\"\n[function.hello]\nmodule = \"m/hello.wasm\"\nwarmup = [\"w/a.json\"]\n"
	loaded, begun := "loaded", "begun"
	for file, when := range map[string]string{
		"functions.toml": loaded, "s/secrets.toml": begun, "m/hello.wasm": begun, "w/a.json": begun, "w/a.recording.json": begun,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t, toml)
			for _, f := range []string{"s/secrets.toml", "m/hello.wasm", "w/a.json"} {
				require.NoError(t, os.Mkdir(filepath.Join(dir, filepath.Dir(f)), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
			}
			w, cfg := openWatcher(t, dir)
			change := func(now string) {
				if when == now {
					require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("\n"), 0o600))
				}
			}
			change(loaded)
			w.begin(cfg)
			change(begun)
			require.False(t, w.follow(t.Context(), cfg), "nothing is left to be watched")
			require.True(t, w.wait(soon(t)))
		})
	}
}

// TestNothingOfTheStartRunsBesideTheFirstRequests looks at a host when it has said where
// it serves: old files are gone, and there is no more to print.
func TestNothingOfTheStartRunsBesideTheFirstRequests(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	writeModule(t, dir, 0)
	old, err := os.CreateTemp(filepath.Join(dir, "data", "derived"), "old-")
	require.NoError(t, err)
	require.NoError(t, old.Close())
	require.NoError(t, os.Chtimes(old.Name(), time.Time{}, time.Now().Add(-2*derivedAge)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var logs buffer
	out := &atFirst{do: func() {
		if _, err := os.Stat(old.Name()); !os.IsNotExist(err) {
			t.Errorf("the old file is still there: %v", err)
		}
		cancel()
	}}
	require.NoError(t, serve(ctx, serveOptions{config: filepath.Join(dir, "functions.toml"), out: out, logs: &logs, now: time.Now}))
	require.Equal(t, 1, out.writes)
	require.Regexp(t, `(?s)spore serves http://.*hello +GET / +curl http://`, out.String())
}

func TestImportsOfASourceAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	w, cfg := openWatcher(t, newDir(t, probe))
	w.begin(cfg)
	require.True(t, w.follow(t.Context(), cfg))
	require.False(t, w.follow(t.Context(), cfg))
}

// writeSource makes the source f of functions.toml a module of its own, which imports part.
func writeSource(t *testing.T, dir string) {
	t.Helper()
	for file, text := range map[string]string{
		"go.mod":       "module f\n\ngo 1.26\n",
		"main.go":      "package main\n\nimport _ \"f/part\"\n\nfunc main() {}\n",
		"part/part.go": "package part\n",
	} {
		path := filepath.Join(dir, "f", file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

// TestAGoModThatIsWrongIsWatched: the go command finds no sources with such a go.mod, and
// its next change is what the host waits for.
func TestAGoModThatIsWrongIsWatched(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, goMod string){
		"broken":  func(t *testing.T, goMod string) { require.NoError(t, os.WriteFile(goMod, []byte("modul f\n"), 0o600)) },
		"removed": func(t *testing.T, goMod string) { require.NoError(t, os.Remove(goMod)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newWays().follow(newDir(t, "[function.f]\nsource = \"f\"\n"))
			writeSource(t, dir)
			goMod, part := fsnotify.Event{Name: dir + "/f/go.mod", Op: fsnotify.Create}, fsnotify.Event{Name: dir + "/f/part/part.go", Op: fsnotify.Write}
			w, cfg := openWatcher(t, dir)
			w.begin(cfg)
			require.True(t, w.matters(goMod), "before the sources are known")
			w.follow(t.Context(), cfg)
			spoil(t, goMod.Name)
			for range 2 {
				w.follow(t.Context(), cfg)
				require.True(t, w.matters(goMod))
				require.True(t, w.matters(part))
			}
		})
	}
}

// TestWhatMayBeEmbeddedIsWatched adds files that a source is to embed.
func TestWhatMayBeEmbeddedIsWatched(t *testing.T) {
	t.Parallel()
	dir := newWays().follow(newDir(t, "[function.f]\nsource = \"f\"\n"))
	writeSource(t, dir)
	embed := "package part\n\nimport \"embed\"\n\n//go:embed hi.txt static *.html\nvar FS embed.FS\n"
	require.NoError(t, os.WriteFile(dir+"/f/part/part.go", []byte(embed), 0o600))
	require.NoError(t, os.Mkdir(dir+"/f/part/static", 0o700))
	w, cfg := openWatcher(t, dir)
	w.follow(t.Context(), cfg)
	for _, name := range []string{"hi.txt", "static/new.css", "a.html"} {
		require.NoError(t, os.WriteFile(dir+"/f/part/"+name, nil, 0o600))
		require.True(t, w.wait(soon(t)), name)
	}
	for _, name := range []string{".part.go.swp", "spore.log"} { // whose every line would be a reload, and a line
		require.False(t, w.matters(fsnotify.Event{Name: dir + "/f/part/" + name, Op: fsnotify.Write}), name)
	}
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
	w, cfg := openWatcher(t, dir)
	w.begin(cfg)
	require.False(t, w.follow(t.Context(), cfg), "a host that finds something to be watched each time looks for ever")
	for _, name := range []string{"a.wasm", "b.wasm"} {
		require.NoError(t, os.WriteFile(filepath.Join(real, name), nil, 0o600))
		require.True(t, w.wait(soon(t)))
	}
}

// TestDirectoriesThatAreReplacedAreWatched replaces what lies between the root and a
// module, as deployments do, and then changes what has taken its place.
func TestDirectoriesThatAreReplacedAreWatched(t *testing.T) {
	t.Parallel()
	if !watchWays {
		t.Skip("directories above a file are not watched here")
	}
	for name, tc := range map[string]struct {
		dir     string // of functions.toml
		replace func(t *testing.T, dir string)
	}{
		"renamed": {"app", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir+"/app/m", dir+"/old"))
			require.NoError(t, os.CopyFS(dir+"/app/m", os.DirFS(dir+"/old")))
		}},
		"above, renamed": {"app", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir+"/app", dir+"/old"))
			require.NoError(t, os.CopyFS(dir+"/new", os.DirFS(dir+"/old")))
			require.NoError(t, os.Rename(dir+"/new", dir+"/app"))
		}},
		"removed": {"app", func(t *testing.T, dir string) {
			require.NoError(t, os.CopyFS(dir+"/new", os.DirFS(dir+"/app/m")))
			require.NoError(t, os.RemoveAll(dir+"/app/m"))
			require.NoError(t, os.Rename(dir+"/new", dir+"/app/m"))
		}},
		"a link": {"current", func(t *testing.T, dir string) {
			require.NoError(t, os.CopyFS(dir+"/next", os.DirFS(dir+"/app")))
			require.NoError(t, os.Symlink("next", dir+"/link"))
			require.NoError(t, os.Rename(dir+"/link", dir+"/current"))
		}},
		"a link to a link": {"linked", func(t *testing.T, dir string) {
			require.NoError(t, os.CopyFS(dir+"/next", os.DirFS(dir+"/app")))
			require.NoError(t, os.Remove(dir+"/current"))
			require.NoError(t, os.Symlink(dir+"/next", dir+"/current"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t, "")
			require.NoError(t, os.MkdirAll(dir+"/app/m", 0o700))
			require.NoError(t, os.Symlink("app", dir+"/current"))
			require.NoError(t, os.Symlink("./current", dir+"/linked"))
			writeConfig(t, dir+"/app", "[function.hello]\nmodule = \"m/hello.wasm\"\n")
			require.NoError(t, os.WriteFile(dir+"/app/m/hello.wasm", nil, 0o600))
			module := filepath.Join(dir, tc.dir, "m/hello.wasm")
			w, cfg := openWatcher(t, filepath.Join(dir, tc.dir))
			w.begin(cfg)
			require.False(t, w.follow(t.Context(), cfg))
			tc.replace(t, dir)
			require.True(t, w.wait(soon(t)))
			require.True(t, w.follow(t.Context(), cfg))
			require.False(t, w.follow(t.Context(), cfg))
			require.NoError(t, os.WriteFile(module, nil, 0o600))
			require.True(t, w.wait(soon(t)))
			require.False(t, w.follow(t.Context(), cfg))
		})
	}
}

// TestADirectoryThatIsRenamedDuringAReload is, for the kernel, still the one with the old
// name when the host comes to the new one, because nobody has read the events.
func TestADirectoryThatIsRenamedDuringAReload(t *testing.T) {
	t.Parallel()
	dir := newDir(t, "[function.now]\nmodule = \"now/a.wasm\"\n[function.before]\nmodule = \"before/a.wasm\"\n")
	fill := func(name string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "a.wasm"), nil, 0o600))
	}
	fill("now")
	fill("before")
	w, cfg := openWatcher(t, dir)
	w.begin(cfg)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "before")))
	require.True(t, w.wait(soon(t)))
	require.NoError(t, os.Rename(filepath.Join(dir, "now"), filepath.Join(dir, "before")))
	fill("now")
	w.follow(t.Context(), cfg)
	require.False(t, w.follow(t.Context(), cfg), "a host that finds something to be watched each time looks for ever")
	require.True(t, w.wait(soon(t)))
	require.True(t, w.follow(t.Context(), cfg))
	require.False(t, w.follow(t.Context(), cfg))
	for _, name := range []string{"now", "before"} {
		fill(name)
		require.True(t, w.wait(soon(t)))
	}
}

// TestADirectoryThatIsReplacedBelowOneThatIsNotWatched has a directory on the way that
// the host may enter and not read, and then one above it of that kind.
func TestADirectoryThatIsReplacedBelowOneThatIsNotWatched(t *testing.T) {
	t.Parallel()
	if !watchWays {
		t.Skip("directories above a file are not watched here")
	}
	for _, unread := range []string{"app", "."} {
		t.Run(unread, func(t *testing.T) {
			t.Parallel()
			dir := newWays().follow(newDir(t, "[function.hello]\nmodule = \"app/m/a.wasm\"\n"))
			fill := func() {
				require.NoError(t, os.MkdirAll(dir+"/app/m", 0o700))
				require.NoError(t, os.WriteFile(dir+"/app/m/a.wasm", nil, 0o600))
			}
			fill()
			w, cfg := openWatcher(t, dir)
			w.begin(cfg)
			require.NoError(t, w.fs.Remove(filepath.Join(dir, unread)))
			require.NoError(t, os.Rename(dir+"/app", dir+"/old"))
			fill()
			require.True(t, w.wait(soon(t)))
			require.True(t, w.follow(t.Context(), cfg))
			fill()
			require.True(t, w.wait(soon(t)))
		})
	}
}

// TestWaysAreTheKernels: above a link's end is not above the link.
func TestWaysAreTheKernels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "far/away/versions"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "far/away/app"), 0o700))
	for name, link := range map[string]string{
		"link": "far/away/versions", "beside": "link/../app", "rooted": filepath.Join(dir, "link") + "/.././app/", "here": ".", "up": "here/here/far/..//beside",
	} {
		require.NoError(t, os.Symlink(link, filepath.Join(dir, name)))
	}
	for _, path := range []string{"link", "beside", "rooted", "here", "up", "up/m.wasm", "far/away"} {
		path = filepath.Join(dir, path)
		want, err := filepath.EvalSymlinks(filepath.Dir(path))
		require.NoError(t, err)
		want = filepath.Join(want, filepath.Base(path))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			want = real
		}
		require.Equal(t, want, newWays().follow(path))
	}
}

func TestLinksInACircleEnd(t *testing.T) {
	t.Parallel()
	dir := newWays().follow(t.TempDir())
	require.NoError(t, os.Symlink("b/x", filepath.Join(dir, "a")))
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "b")))
	w := newWays()
	w.follow(filepath.Join(dir, "a/m.wasm"))
	require.True(t, w.entries[filepath.Join(dir, "a")])
	require.True(t, w.entries[filepath.Join(dir, "b")])
}

func TestAWatcherWithoutFilesNoticesSignalsAlone(t *testing.T) {
	t.Parallel()
	_, cfg := openWatcher(t, newDir(t, probe))
	w := watcher{hup: make(chan os.Signal, 1)}
	w.begin(cfg)
	require.False(t, w.follow(t.Context(), cfg))
	w.hup <- syscall.SIGHUP
	require.True(t, w.wait(soon(t)))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, w.wait(ended))
	require.False(t, new(watcher).wait(ended))
}

// TestAHangUpDuringTheFirstDeployIsALookAfterIt sends the signal while the probe is
// built.
func TestAHangUpDuringTheFirstDeployIsALookAfterIt(t *testing.T) {
	t.Parallel()
	h := &testHost{t: t, dir: newDir(t, probe)}
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(h.dir, "functions.toml"))
	cmd.Stdout, cmd.Stderr = &h.out, &h.logs
	require.NoError(t, cmd.Start())
	locked := fmt.Sprintf("process %d\n", cmd.Process.Pid)
	require.Eventually(t, func() bool {
		holder, _ := os.ReadFile(filepath.Join(h.dir, "data", "lock"))
		return string(holder) == locked
	}, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	h.logged("reloaded", 2) // for what the source imports, and for the signal
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// TestPermissionsCountWhileSomethingIsWrong: a file that could not be read may be
// readable now. Otherwise they change nothing about it.
func TestPermissionsCountWhileSomethingIsWrong(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	writeModule(t, dir, 0)
	w, cfg := openWatcher(t, dir)
	w.begin(cfg)
	chmod := fsnotify.Event{Name: filepath.Join(newWays().follow(dir), "modules/hello.wasm"), Op: fsnotify.Chmod}
	require.False(t, w.matters(chmod))
	w.wrong = true
	require.True(t, w.matters(chmod))
	require.NoError(t, os.Chmod(filepath.Join(dir, "modules/hello.wasm"), 0o644))
	require.True(t, w.wait(soon(t)))
	require.NoError(t, os.Chmod(filepath.Join(dir, "modules"), 0o755))
	require.True(t, w.wait(soon(t)))
}

// TestADeployWithoutRoomIsTriedAgain: what is deployed is not what the files say, and nothing
// of theirs will change.
func TestADeployWithoutRoomIsTriedAgain(t *testing.T) {
	full := &function.Error{Kind: abi.Overloaded, Op: "deploy b", Err: errors.New("no memory")}
	wrong := &function.Error{Kind: abi.Invalid, Op: "deploy a"}
	require.True(t, lacksRoom(errors.Join(errors.Join(wrong, nil, full), nil)))
	require.False(t, lacksRoom(errors.Join(errors.Join(wrong), nil)))
	require.False(t, lacksRoom(nil))
	w := watcher{again: time.Millisecond}
	require.True(t, w.wait(soon(t)))
}

func TestAFileBesideGoModIsNoChange(t *testing.T) {
	t.Parallel()
	dir := newDir(t, probe)
	w, cfg := openWatcher(t, dir)
	w.follow(t.Context(), cfg)
	root := newWays().follow("..")
	dir = newWays().follow(dir)
	for path, want := range map[string]bool{
		filepath.Join(root, "spore.log"):                             false,
		filepath.Join(root, "go.mod"):                                true,
		filepath.Join(root, "host/sandbox/testdata/probe/new.go"):    true,
		filepath.Join(root, "host/sandbox/testdata/probe/.main.swp"): false,
		filepath.Join(root, "guest/guest.go"):                        true,
		filepath.Join(root, "modules/hello/main.go"):                 false,
		filepath.Join(dir, "functions.toml"):                         true,
		filepath.Join(dir, "data/derived/built/0123456789abcdef.x"):  false,
	} {
		require.Equal(t, want, w.matters(fsnotify.Event{Name: path, Op: fsnotify.Write}), path)
	}
}

// TestAnEmptyConfigurationIsNoChange: a file is empty while an editor writes it, and stays
// so where the disk is full.
func TestAnEmptyConfigurationIsNoChange(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	writeModule(t, dir, 0)
	h := startHost(t, dir, time.Now)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "functions.toml"), nil, 0o600))
	require.Contains(t, h.logged("functions.toml not reloaded; what served goes on", 1)[0]["error"], "names no functions")
	require.Equal(t, 200, h.get("/").status)
	writeConfig(t, dir, oneModule)
	h.logged("reloaded", 1)
	require.Equal(t, 200, h.get("/").status)
}

// TestABrokenReloadKeepsTheFilesOfWhatServes: a host that has run for a month has files
// that nobody has used for as long, though a request may come for them at any time.
func TestABrokenReloadKeepsTheFilesOfWhatServes(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	derived := filepath.Join(dir, "data", "derived")
	require.NoError(t, os.Remove(derived)) // one of its own
	greeting := writeModule(t, dir, 1)
	h := startHost(t, dir, time.Now)
	month := time.Now().Add(-derivedAge - time.Hour)
	require.NoError(t, filepath.WalkDir(derived, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chtimes(path, month, month)
	}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules", "hello.wasm"), []byte("broken"), 0o600))
	h.logged("not deployed", 1)
	writeConfig(t, dir, "broken")
	h.logged("not reloaded", 1) // so the reload before is through, with what follows the line as well
	got := h.get("/")
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, greeting, got.body)
}
