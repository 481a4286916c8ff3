package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"spore/host/config"
	"spore/host/gobuild"
)

// quiet is how long the watched files must be still before a change counts, so
// that a file that is being copied is read once, when it is whole.
const quiet = 200 * time.Millisecond

// watcher tells when functions.toml or anything its functions are made of may
// have changed, and when SIGHUP says so. The zero value notices nothing.
type watcher struct {
	hup    chan os.Signal
	fs     *fsnotify.Watcher // nil when files are not watched
	events <-chan fsnotify.Event
	errors <-chan error
	files  map[string]bool     // that matter, and what is on the way to them; the paths of their directories have no links in them
	dirs   map[string]bool     // directories of which every Go file matters, likewise
	embeds map[string][]string // patterns of names that matter in a directory, likewise
	wrong  bool                // the last look at them failed, and permissions may have been why
	again  time.Duration       // until the next look when nothing changes; 0 says that there is none
	wanted map[string]bool     // directories that should be watched, and whether it is worth a line when one is not
	log    *slog.Logger

	sources map[string]*gobuild.Sources // as they were last found, by the function's directory
}

// open begins with the file at path, functions.toml, which is to be read after that:
// what is watched before it is read cannot change unnoticed. After an error SIGHUP
// alone is noticed. The watcher is silent until it is given a log, and has to be closed.
func (w *watcher) open(path string) error {
	w.hup = make(chan os.Signal, 1)
	signal.Notify(w.hup, syscall.SIGHUP)
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	w.fs, w.events, w.errors = watch, watch.Events, watch.Errors
	w.log = slog.New(slog.DiscardHandler) // begin tries again, and logs what is wrong
	w.sync(map[string]bool{path: true}, nil, nil)
	return nil
}

func (w *watcher) close() {
	if w.hup != nil {
		signal.Stop(w.hup)
	}
	if w.fs != nil {
		_ = w.fs.Close()
	}
}

// begin watches what cfg names, which is to be read after that. What sources import
// takes long to find, and is left to follow.
func (w *watcher) begin(cfg *config.Config) {
	if w.fs != nil {
		files, dirs := named(cfg)
		w.sync(files, dirs, nil)
	}
}

// follow makes cfg's files the watched ones, and reports whether any were not
// watched before. Sources that cannot be found, because of a go.mod that is wrong, stay
// those that were found last: the next change of one may put it right.
func (w *watcher) follow(ctx context.Context, cfg *config.Config) (fresh bool) {
	if w.fs == nil {
		return false
	}
	files, dirs := named(cfg)
	var embeds []string
	before := w.sources
	w.sources = map[string]*gobuild.Sources{}
	for _, f := range cfg.Functions {
		if f.Source == "" {
			continue
		}
		sources, err := gobuild.FindSources(ctx, f.Source)
		if ctx.Err() != nil {
			return false // told to stop meanwhile
		}
		if err != nil {
			sources = before[f.Source]
		}
		if sources == nil {
			w.log.Warn("only the function's own directory is watched", "function", f.Name, "error", err.Error())
			continue
		}
		w.sources[f.Source] = sources
		for _, dir := range sources.Dirs {
			dirs[dir] = true
		}
		embeds = append(embeds, sources.Embedded...)
		for _, file := range sources.Files {
			files[file] = true
		}
	}
	return w.sync(files, dirs, embeds)
}

// named returns the files that cfg names, its own among them, and the directories of
// sources.
func named(cfg *config.Config) (files, dirs map[string]bool) {
	files, dirs = map[string]bool{cfg.Path: true}, map[string]bool{}
	if cfg.Secrets.File != "" {
		files[cfg.Secrets.File] = true
	}
	for _, f := range cfg.Functions {
		for _, path := range f.Warmup {
			files[path], files[recordingOf(path)] = true, true
		}
		if f.Module != "" {
			files[f.Module] = true
		} else {
			dirs[f.Source], files[filepath.Join(f.Source, "go.mod")] = true, true
		}
	}
	return files, dirs
}

// sync makes files, dirs and embeds those that matter, and their directories the kernel's
// watches. Directories are watched rather than files, because editors and deployments
// replace files by renaming; and by their real names, because the kernel has one watch
// for a directory, whatever it is called. Deployments replace whole directories, too, or
// the links to them, so the directories above are watched for that.
func (w *watcher) sync(files, dirs map[string]bool, embeds []string) (fresh bool) {
	found := newWays()
	w.dirs, w.embeds, w.wanted = map[string]bool{}, map[string][]string{}, map[string]bool{}
	for dir := range dirs {
		dir = found.follow(dir)
		w.dirs[dir], w.wanted[dir] = true, true
	}
	for _, path := range embeds {
		dir := found.follow(filepath.Dir(path))
		w.embeds[dir], w.wanted[dir] = append(w.embeds[dir], filepath.Base(path)), true
	}
	for file := range files {
		w.wanted[filepath.Dir(found.follow(file))] = true
	}
	w.files = found.entries
	if watchWays {
		for entry := range found.entries {
			if above := filepath.Dir(entry); !w.wanted[above] {
				w.wanted[above] = false
			}
		}
	}
	return w.watch()
}

// errTwoNames is why a directory is not watched that the kernel knows already.
var errTwoNames = errors.New("it is watched under another name, as where it is mounted twice")

// watch makes the wanted directories the kernel's watches, and reports whether one was
// not among them before.
func (w *watcher) watch() (fresh bool) {
	watched := map[string]bool{}
	for _, dir := range w.fs.WatchList() {
		_, watched[dir] = w.wanted[dir]
		if !watched[dir] {
			_ = w.fs.Remove(dir) // it may be gone, which is why it is not wanted
		}
	}
	missing := map[string]error{}
	for _, dir := range slices.Sorted(maps.Keys(w.wanted)) { // those above first: then one below that comes late is an event
		if watched[dir] {
			continue
		}
		missing[dir] = cmp.Or(w.fs.Add(dir), errTwoNames)
	}
	for _, dir := range w.fs.WatchList() { // the kernel may have added nothing
		fresh = fresh || missing[dir] != nil
		delete(missing, dir)
	}
	for dir, err := range missing {
		if w.wanted[dir] && !(watchWays && errors.Is(err, fs.ErrNotExist)) { // one that is not there yet will be noticed
			w.log.Warn("changes here are not noticed; send SIGHUP after them", "directory", dir, "error", err.Error())
		}
	}
	return fresh
}

// watchWays is whether directories are watched for the sake of others that may be
// replaced in them. Where fsnotify opens every file of a directory (kqueue), they are not.
const watchWays = runtime.GOOS == "linux"

// ways finds out what the kernel goes through to get to files.
type ways struct {
	entries map[string]bool   // of directories without links in their paths: names that stood on the way
	leads   map[string]string // of entries: the path without links
}

func newWays() *ways { return &ways{map[string]bool{}, map[string]string{}} }

// follow returns the absolute path without links, as far as there is one.
func (w *ways) follow(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return w.walk("/", path)
}

// walk goes from a directory without links in its path to where path leads, name by name:
// what is above a link's end is not what is above the link.
func (w *ways) walk(dir, path string) string {
	if filepath.IsAbs(path) {
		dir = "/"
	}
	for name := range strings.SplitSeq(path, "/") {
		switch name {
		case "", ".":
		case "..":
			dir = filepath.Dir(dir)
		default:
			dir = w.step(filepath.Join(dir, name))
		}
	}
	return dir
}

// step returns where one entry leads. Ten thousand files may share a directory.
func (w *ways) step(entry string) string {
	if w.entries[entry] {
		return w.leads[entry]
	}
	w.entries[entry], w.leads[entry] = true, entry // also for links that go in a circle
	if link, err := os.Readlink(entry); err == nil {
		w.leads[entry] = w.walk(filepath.Dir(entry), link)
	}
	return w.leads[entry]
}

func (w *watcher) matters(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod && !w.wrong {
		return false
	}
	dir, name := filepath.Split(ev.Name)
	dir = filepath.Clean(dir)
	embedded := func(pattern string) bool {
		matches, _ := path.Match(pattern, name)
		return matches
	}
	return w.files[ev.Name] || w.dirs[dir] && filepath.Ext(name) == ".go" || slices.ContainsFunc(w.embeds[dir], embedded)
}

// forget ends the watches of a directory that has been replaced, and of all below: the
// kernel's are of what was there before. It need not have been watched itself, where the
// host may not read it.
func (w *watcher) forget(gone string) {
	if _, ok := w.wanted[gone]; !ok {
		return
	}
	for _, dir := range w.fs.WatchList() {
		if dir == gone || strings.HasPrefix(dir, gone+"/") {
			_ = w.fs.Remove(dir)
		}
	}
}

// wait returns true when something has changed and been quiet since, when it is time for
// another look, or on a signal; false when ctx has ended.
func (w *watcher) wait(ctx context.Context) bool {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	if w.again > 0 {
		timer.Reset(w.again)
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.hup:
			return true
		case <-timer.C:
			return true
		case ev := <-w.events:
			if w.matters(ev) {
				w.forget(ev.Name)
				timer.Reset(quiet)
			}
		case err := <-w.errors:
			w.log.Warn("watch files", "error", err.Error())
			timer.Reset(quiet) // events may have been lost: look at everything
		}
	}
}
