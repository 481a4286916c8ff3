package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"spore/host/config"
	"spore/host/gobuild"
)

// quiet is how long the watched files must be still before a change counts, so
// that a file that is being copied is read once, when it is whole.
const quiet = 200 * time.Millisecond

// watcher tells when functions.toml or anything its functions are made of may
// have changed.
type watcher struct {
	fs    *fsnotify.Watcher
	files map[string]bool // files that matter, by path
	dirs  map[string]bool // directories of which every Go file matters
	log   *slog.Logger
}

func newWatcher(log *slog.Logger) (*watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &watcher{fs: fs, log: log}, nil
}

func (w *watcher) Close() error { return w.fs.Close() }

// follow makes cfg's files the watched ones, and reports whether any were not
// watched before. Directories are watched rather than files, because editors and
// deployments replace files by renaming.
func (w *watcher) follow(ctx context.Context, cfg *config.Config) (fresh bool) {
	w.files, w.dirs = map[string]bool{}, map[string]bool{}
	path, err := filepath.Abs(cfg.Path)
	if err == nil {
		w.files[path] = true
	}
	if cfg.Secrets.File != "" {
		w.files[cfg.Secrets.File] = true
	}
	for _, f := range cfg.Functions {
		for _, path := range f.Warmup {
			w.files[path], w.files[recordingOf(path)] = true, true
		}
		if f.Module != "" {
			w.files[f.Module] = true
			continue
		}
		w.dirs[f.Source] = true
		sources, err := gobuild.FindSources(ctx, f.Source)
		if ctx.Err() != nil {
			return false // told to stop meanwhile
		}
		if err != nil {
			w.log.Warn("only the function's own directory is watched", "function", f.Name, "error", err.Error())
			continue
		}
		for _, dir := range sources.Dirs {
			w.dirs[dir] = true
		}
		for _, file := range sources.Files {
			w.files[file] = true
		}
	}
	return w.sync()
}

// sync makes the kernel's watches those of files and dirs.
func (w *watcher) sync() (fresh bool) {
	wanted := map[string]bool{}
	for dir := range w.dirs {
		wanted[dir] = true
	}
	for file := range w.files {
		wanted[filepath.Dir(file)] = true
	}
	for _, dir := range w.fs.WatchList() {
		if !wanted[dir] {
			_ = w.fs.Remove(dir) // it may be gone, which is why it is not wanted
		}
	}
	for dir := range wanted {
		if slices.Contains(w.fs.WatchList(), dir) {
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

func (w *watcher) matters(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod {
		return false
	}
	return w.files[ev.Name] || w.dirs[filepath.Dir(ev.Name)] && filepath.Ext(ev.Name) == ".go"
}

// wait returns true when something has changed and been quiet since, or on a
// signal; false when ctx has ended.
func (w *watcher) wait(ctx context.Context, hup <-chan os.Signal) bool {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hup:
			return true
		case <-timer.C:
			return true
		case ev := <-w.fs.Events:
			if w.matters(ev) {
				timer.Reset(quiet)
			}
		case err := <-w.fs.Errors:
			w.log.Warn("watch files", "error", err.Error())
			timer.Reset(quiet) // events may have been lost: look at everything
		}
	}
}
