// Package gobuild turns a Go directory into a spore module with the stock Go
// toolchain, GOOS=wasip1 GOARCH=wasm go build, and tells which files the result
// depends on.
package gobuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Error is a build that the toolchain refused. Output is what it printed.
type Error struct {
	Dir    string
	Output string
}

func (e *Error) Error() string { return "build " + e.Dir + ":\n" + e.Output }

// Build compiles the command in dir and returns the module's bytes. Results are
// kept in cache, a directory that is created when missing, so that building what
// has not changed takes the toolchain's up-to-date check and no linking. Builds
// may overlap, also between processes. The go command's temporary files are in cache
// too, where they stay if this process is killed.
func Build(ctx context.Context, dir, cache string) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	sum := sha256.Sum256([]byte(dir))
	out := filepath.Join(cache, hex.EncodeToString(sum[:8])+".wasm")
	unlock, err := lockFile(ctx, out+".lock")
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	defer unlock()
	touch(out + ".lock")
	work, err := os.MkdirTemp(cache, "work-*") // a go command that is ended leaves its files there
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	defer os.RemoveAll(work)
	if _, err := goTool(ctx, dir, []string{"GOTMPDIR=" + work}, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "."); err != nil {
		return nil, err
	}
	touch(out)
	module, err := os.ReadFile(out)
	if bytes.HasPrefix(module, []byte("!<arch>")) { // what the go command makes of other packages
		return nil, &Error{dir, "the package there is no command; a function is package main, and its main ends in guest.Start(handler)"}
	}
	return module, err
}

// touch marks a file as used today: what has not been for long may be collected.
func touch(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

// Sources is what a module was built from, outside the standard library and the
// module cache.
type Sources struct {
	Dirs     []string // package directories, in which any Go file may come to matter
	Embedded []string // what may come to be embedded: the last name is a pattern of path.Match
	Files    []string // to embed, there or not; go.mod and go.sum; go.work and go.work.sum of a workspace; vendor/modules.txt
}

// FindSources returns the sources of dir's command, also when it does not compile.
func FindSources(ctx context.Context, dir string) (*Sources, error) {
	// Of modules whose packages are vendored the go command tells no go.mod.
	const format = `{{if and .Dir .Module (not .Standard)}}{{if or .Module.Main .Module.Replace (not .Module.GoMod)}}` +
		`dir:{{.Dir}}{{"\n"}}{{with .Module.GoMod}}mod:{{.}}{{else}}vendored:{{.ImportPath}}{{end}}{{"\n"}}` +
		`{{range .EmbedPatterns}}embed:{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	out, err := goTool(ctx, dir, nil, "list", "-e", "-deps", "-f", format, ".")
	if err != nil {
		return nil, err
	}
	workspace, err := goTool(ctx, dir, nil, "env", "GOWORK")
	if err != nil {
		return nil, err
	}
	s := &Sources{}
	if file := strings.TrimSuffix(string(workspace), "\n"); filepath.IsAbs(file) { // otherwise "off" or ""
		s.Files = append(s.Files, file, file+".sum")
	}
	var pkg string // whose lines follow
	for line := range strings.Lines(string(out)) {
		kind, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch kind {
		case "dir":
			pkg = name
			s.Dirs = append(s.Dirs, name)
		case "embed":
			s.embed(pkg, strings.TrimPrefix(name, "all:"))
		case "mod":
			s.Files = append(s.Files, name, filepath.Join(filepath.Dir(name), "go.sum"))
		case "vendored":
			s.Files = append(s.Files, filepath.Join(strings.TrimSuffix(pkg, filepath.FromSlash(name)), "modules.txt"))
		}
	}
	for _, paths := range []*[]string{&s.Dirs, &s.Embedded, &s.Files} {
		slices.Sort(*paths)
		*paths = slices.Compact(*paths)
	}
	return s, nil
}

// embed adds what a pattern of a go:embed line in pkg matches or may come to match. What
// is wrong with the pattern, the build says.
func (s *Sources) embed(pkg, pattern string) {
	tree := os.DirFS(pkg)
	if !hasMeta(pattern) {
		s.Files = append(s.Files, filepath.Join(pkg, pattern))
	}
	for p := pattern; hasMeta(p); p = path.Dir(p) { // new names match in all these
		dirs, _ := fs.Glob(tree, path.Dir(p))
		for _, dir := range dirs {
			if info, err := fs.Stat(tree, dir); err == nil && info.IsDir() {
				s.Embedded = append(s.Embedded, filepath.Join(pkg, dir, path.Base(p)))
			}
		}
	}
	roots, _ := fs.Glob(tree, pattern)
	for _, root := range roots {
		_ = fs.WalkDir(tree, root, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				s.Embedded = append(s.Embedded, filepath.Join(pkg, name, "*"))
			}
			return nil
		})
	}
}

// hasMeta reports whether a pattern of path.Match is more than one name.
func hasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

func goTool(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	if _, err := os.Stat(dir); err != nil { // of which the next error would say that there is no go command
		return nil, &Error{dir, err.Error()}
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // compilers go on writing without the go command
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // for processes of its own
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, env)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("build %s: the go command is not installed; install Go, or set module to a built .wasm file", dir)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case cmd.ProcessState == nil && err != nil: // it did not start: the directory is gone, there is no memory
		return nil, &Error{dir, err.Error()}
	case err != nil:
		return nil, &Error{dir, explain(strings.TrimSpace(stderr.String() + stdout.String()))}
	}
	return stdout.Bytes(), nil
}

// explain adds what to do where the go command's own advice leads nowhere: it cannot
// get the SDK, which is published nowhere, and go mod tidy wants what the SDK's tests do.
func explain(output string) string {
	for _, said := range []string{"package spore/guest is not in std", "module providing package spore/guest", "no required module provides package spore/guest"} {
		if strings.Contains(output, said) {
			return output + "\na module has spore's SDK by two lines in its go.mod, as `spore new` writes them:\n" +
				"\trequire spore v0.0.0\n\treplace spore => /path/to/spore's/source"
		}
	}
	if strings.Contains(output, "updates to go.mod needed") {
		return output + "\nspore's SDK needs the line `go 1.26.0` in go.mod, or that of a later Go"
	}
	return output
}
