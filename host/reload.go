package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
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
	files  map[string]bool // that matter, and what is on the way to them; the paths of their directories have no links in them
	dirs   map[string]bool // directories of which every Go file matters, likewise
	wrong  bool            // the last look at them failed, and permissions may have been why
	log    *slog.Logger
}

// open begins with the file at path, functions.toml, which is to be read after that:
// what is watched before it is read cannot change unnoticed. After an error SIGHUP
// alone is noticed. The watcher needs a log from then on, and to be closed.
func (w *watcher) open(path string) error {
	w.hup = make(chan os.Signal, 1)
	signal.Notify(w.hup, syscall.SIGHUP)
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	w.fs, w.events, w.errors = watch, watch.Events, watch.Errors
	found := newWays()
	_ = watch.Add(filepath.Dir(found.follow(path))) // begin tries again, and logs what is wrong
	if watchWays {
		for entry := range found.entries {
			_ = watch.Add(filepath.Dir(entry))
		}
	}
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
		w.sync(named(cfg))
	}
}

// follow makes cfg's files the watched ones, and reports whether any were not
// watched before.
func (w *watcher) follow(ctx context.Context, cfg *config.Config) (fresh bool) {
	if w.fs == nil {
		return false
	}
	files, dirs := named(cfg)
	for _, f := range cfg.Functions {
		if f.Source == "" {
			continue
		}
		sources, err := gobuild.FindSources(ctx, f.Source)
		if ctx.Err() != nil {
			return false // told to stop meanwhile
		}
		if err != nil {
			w.log.Warn("only the function's own directory is watched", "function", f.Name, "error", err.Error())
			continue
		}
		for _, dir := range sources.Dirs {
			dirs[dir] = true
		}
		for _, file := range sources.Files {
			files[file] = true
		}
	}
	return w.sync(files, dirs)
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
			dirs[f.Source] = true
		}
	}
	return files, dirs
}

// sync makes files and dirs those that matter, and their directories the kernel's
// watches. Directories are watched rather than files, because editors and deployments
// replace files by renaming; and by their real names, because the kernel has one watch
// for a directory, whatever it is called. Deployments replace whole directories, too, or
// the links to them, so the directories above are watched for that.
func (w *watcher) sync(files, dirs map[string]bool) (fresh bool) {
	found := newWays()
	w.dirs = map[string]bool{}
	wanted := map[string]bool{} // and what is wrong is worth a line
	for dir := range dirs {
		dir = found.follow(dir)
		w.dirs[dir], wanted[dir] = true, true
	}
	for file := range files {
		wanted[filepath.Dir(found.follow(file))] = true
	}
	w.files = found.entries
	if watchWays {
		for entry := range found.entries {
			if above := filepath.Dir(entry); !wanted[above] {
				wanted[above] = false
			}
		}
	}
	watched := map[string]bool{}
	for _, dir := range w.fs.WatchList() {
		_, watched[dir] = wanted[dir]
		if !watched[dir] {
			_ = w.fs.Remove(dir) // it may be gone, which is why it is not wanted
		}
	}
	for dir, needed := range wanted {
		if watched[dir] {
			continue
		}
		err := w.fs.Add(dir)
		if needed && err != nil && !(watchWays && errors.Is(err, fs.ErrNotExist)) { // one that is not there yet will be noticed
			w.log.Warn("changes here are not noticed; send SIGHUP after them", "directory", dir, "error", err.Error())
		}
		fresh = fresh || needed && err == nil
	}
	return fresh
}

// watchWays is whether directories are watched for the sake of others that may be
// replaced in them. Where fsnotify opens every file of a directory (kqueue), they are not.
const watchWays = runtime.GOOS == "linux"

// ways finds out what the kernel goes through to get to files.
type ways struct {
	real    map[string]string // of paths: without links
	entries map[string]bool   // of real directories: names that stood on the way
}

func newWays() *ways { return &ways{map[string]string{}, map[string]bool{}} }

// follow returns the absolute path without links, as far as there is one.
func (w *ways) follow(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	above := filepath.Dir(path)
	if above == path {
		return path
	}
	if real, ok := w.real[path]; ok { // ten thousand files may share a directory
		return real
	}
	entry := filepath.Join(w.follow(above), filepath.Base(path))
	w.entries[entry] = true
	w.real[path] = entry // also for links that go in a circle
	if link, err := os.Readlink(entry); err == nil {
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(entry), link)
		}
		w.real[path] = w.follow(link)
	}
	return w.real[path]
}

func (w *watcher) matters(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod && !w.wrong {
		return false
	}
	return w.files[ev.Name] || w.dirs[filepath.Dir(ev.Name)] && filepath.Ext(ev.Name) == ".go"
}

// forget ends the watches of a directory that has been replaced, and of all below: the
// kernel's are of what was there before.
func (w *watcher) forget(gone string) {
	list := w.fs.WatchList()
	if !slices.Contains(list, gone) {
		return
	}
	for _, dir := range list {
		if dir == gone || strings.HasPrefix(dir, gone+string(filepath.Separator)) {
			_ = w.fs.Remove(dir)
		}
	}
}

// wait returns true when something has changed and been quiet since, or on a
// signal; false when ctx has ended.
func (w *watcher) wait(ctx context.Context) bool {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
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
