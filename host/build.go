package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/function"
	"spore/host/gobuild"
	"spore/host/sandbox"
)

// built is what the build verb reports.
type built struct {
	File   string `json:"file"`
	Bytes  int    `json:"bytes"`
	Digest string `json:"sha256"`
}

func newBuild() *cobra.Command {
	var output string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "build DIR",
		Short: "compile a Go directory to a module",
		Long: "Build compiles the Go command in DIR with GOOS=wasip1 GOARCH=wasm and checks that the\n" +
			"result can be served: as a spore function, or as a plain WASI command. Only the Go\n" +
			"toolchain is needed.",
		Example: "  spore build ./modules/hello\n  spore build ./modules/hello -o hello.wasm --json",
		Args:    oneArgument("directory with a Go main package in it", "build ./modules/hello"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, restore := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer restore()
			stop := progress(cmd.ErrOrStderr(), "building "+args[0])
			b, err := build(ctx, args[0], output)
			stop()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  %.1f MB  sha256 %s\n", b.File, float64(b.Bytes)/1e6, b.Digest)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write (default: DIR's name with .wasm, in the current directory)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func build(ctx context.Context, dir, output string) (*built, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, &usageError{fmt.Errorf("%s is not a directory; name one with a Go main package in it", dir)}
	}
	if output == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		output = filepath.Base(abs) + ".wasm"
	}
	cache, err := os.MkdirTemp("", "spore-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	wasm, err := gobuild.Build(ctx, dir, cache)
	if err != nil {
		return nil, err
	}
	if err := sandbox.Check(wasm); err != nil {
		return nil, &function.Error{Kind: abi.Invalid, Op: "check " + dir, Err: err}
	}
	if err := replaceFile(output, wasm, 0o644); err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) { // which may be one that nobody has asked for
			err = path.Err
		}
		return nil, fmt.Errorf("write %s: %w; name a file in a directory you may write to, with --output", output, err)
	}
	return &built{output, len(wasm), sandbox.Digest(wasm)}, nil
}

// replaceFile makes data the content of the file at path at once, so that a host that
// watches it sees the old file or the new one, and a full disk leaves the old one. It
// keeps that one's permissions; perm is for a new file. What is no file, a device say, is
// written to.
func replaceFile(path string, data []byte, perm fs.FileMode) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	old, err := os.Stat(path)
	if err == nil && !old.Mode().IsRegular() {
		return os.WriteFile(path, data, perm)
	}
	fresh, err := os.OpenFile(fmt.Sprintf("%s.%d.new", path, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = fresh.Write(data)
	if old != nil {
		err = cmp.Or(err, fresh.Chmod(old.Mode().Perm()))
	}
	err = cmp.Or(err, fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		_ = os.Remove(fresh.Name())
	}
	return err
}

// seconds rounds a duration for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
