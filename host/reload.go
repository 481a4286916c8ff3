package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
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
	files  map[string]bool // files that matter; the paths of their directories have no links in them
	dirs   map[string]bool // directories of which every Go file matters, likewise
	log    *slog.Logger
}

// open begins with the file at path, functions.toml, which is to be read after that:
// what is watched before it is read cannot change unnoticed. After an error SIGHUP
// alone is noticed. The watcher needs a log from then on, and to be closed.
func (w *watcher) open(path string) error {
	w.hup = make(chan os.Signal, 1)
	signal.Notify(w.hup, syscall.SIGHUP)
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	w.fs, w.events, w.errors = fs, fs.Events, fs.Errors
	_ = fs.Add(realDir(filepath.Dir(path))) // begin tries again, and logs what is wrong
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
// for a directory, whatever it is called.
func (w *watcher) sync(files, dirs map[string]bool) (fresh bool) {
	w.files, w.dirs = map[string]bool{}, map[string]bool{}
	wanted, known := map[string]bool{}, map[string]string{}
	real := func(dir string) string { // ten thousand files may share one
		if known[dir] == "" {
			known[dir] = realDir(dir)
		}
		return known[dir]
	}
	for dir := range dirs {
		dir = real(dir)
		w.dirs[dir], wanted[dir] = true, true
	}
	for file := range files {
		dir := real(filepath.Dir(file))
		w.files[filepath.Join(dir, filepath.Base(file))], wanted[dir] = true, true
	}
	watched := map[string]bool{}
	for _, dir := range w.fs.WatchList() {
		watched[dir] = true
		if !wanted[dir] {
			_ = w.fs.Remove(dir) // it may be gone, which is why it is not wanted
		}
	}
	for dir := range wanted {
		if watched[dir] {
			continue
		}
		if err := w.fs.Add(dir); err != nil {
			w.log.Warn("changes here are not noticed; send SIGHUP after them", "directory", dir, "error", err.Error())
			continue
		}
		fresh = true
	}
	return fresh
}

// realDir is the absolute path of dir without links, as far as there is one.
func realDir(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir
}

func (w *watcher) matters(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod {
		return false
	}
	return w.files[ev.Name] || w.dirs[filepath.Dir(ev.Name)] && filepath.Ext(ev.Name) == ".go"
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
				timer.Reset(quiet)
			}
		case err := <-w.errors:
			w.log.Warn("watch files", "error", err.Error())
			timer.Reset(quiet) // events may have been lost: look at everything
		}
	}
}
