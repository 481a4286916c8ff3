// Package gobuild turns a Go directory into a spore module with the stock Go
// toolchain, GOOS=wasip1 GOARCH=wasm go build, and tells which directories the
// result depends on.
package gobuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
// may overlap, also between processes.
func Build(ctx context.Context, dir, cache string) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	sum := sha256.Sum256([]byte(dir))
	out := filepath.Join(cache, hex.EncodeToString(sum[:8])+".wasm")
	unlock, err := lockFile(out + ".lock")
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	defer unlock()
	if _, err := goTool(ctx, dir, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "."); err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(out, now, now) // used today: what has not been for long may be collected
	return os.ReadFile(out)
}

// SourceDirs returns the directories of dir's command and of every package it
// imports outside the standard library and the module cache, with the directory
// of its go.mod: a change in any of them may change the module.
func SourceDirs(ctx context.Context, dir string) ([]string, error) {
	const format = `{{if and (not .Standard) .Module}}{{if .Module.Main}}{{.Dir}}{{"\n"}}{{.Module.Dir}}{{else if .Module.Replace}}{{.Dir}}{{end}}{{end}}`
	out, err := goTool(ctx, dir, "list", "-deps", "-f", format, ".")
	if err != nil {
		return nil, err
	}
	dirs := strings.Fields(string(out))
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

func goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("build %s: the go command is not installed; install Go, or set module to a built .wasm file", dir)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &Error{dir, strings.TrimSpace(stderr.String() + stdout.String())}
	}
	return stdout.Bytes(), nil
}
