// Command spore is a self-hosted AWS Lambda in one binary: it serves HTTP routes
// with Go functions compiled to WebAssembly, every request in a sandbox of its
// own that starts from a snapshot taken after the function's initialisation.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/function"
)

func main() {
	log.SetOutput(io.Discard) // what libraries say by themselves, net/http of upstreams: those choose the words, and no secret is looked for in them
	cmd := newRoot()
	err := cmd.ExecuteContext(context.Background())
	if err != nil {
		complain(os.Stderr, err)
	}
	os.Exit(exitCode(err))
}

// defaultConfig is the configuration where --config names no other.
const defaultConfig = "functions.toml"

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:                        "spore",
		Short:                      "a self-hosted Lambda: Go functions in a fresh sandbox per request",
		Version:                    versionLine(versions()),
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       noOtherCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringP("config", "c", defaultConfig, "the configuration file")
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newServe(), newBuild(), newInvoke(), newNew(), newVersion(), newCompile())
	root.InitDefaultHelpCmd() // cobra would add these two later
	root.InitDefaultCompletionCmd()
	for _, cmd := range append(root.Commands(), root) {
		switch cmd.Name() {
		case "help":
			cmd.Args, cmd.Run, cmd.RunE = cobra.ArbitraryArgs, nil, help
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Args = orUsage(shell.Args)
			}
		}
		cmd.Args = orUsage(cmd.Args)
	}
	return root
}

// help is cobra's own, but that a command it does not know is an error.
func help(cmd *cobra.Command, args []string) error {
	about, rest, _ := cmd.Root().Find(args) // rest begins with what it does not know
	if err := orUsage(noOtherCommand)(about, rest); err != nil {
		return err
	}
	about.InitDefaultHelpFlag()
	about.InitDefaultVersionFlag()
	return about.Help()
}

// noOtherCommand refuses what spore cannot do, and says what was meant.
func noOtherCommand(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err != nil {
		if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
			return &usageError{fmt.Errorf("%w; did you mean %s?", err, strings.Join(meant, " or "))}
		}
	}
	return err
}

// orUsage returns check with errors that say what to do next.
func orUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var usage *usageError
		err := check(cmd, args)
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// oneArgument wants what the verb is done to, and says so where it is missing.
func oneArgument(what, example string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{fmt.Errorf("name one %s, as in: %s %s", what, commandName(), example)}
		}
		return nil
	}
}

// exitCode is the one place that maps what went wrong to a process's exit code.
func exitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	switch function.KindOf(err) {
	case abi.None:
		return 0
	case abi.NotFound:
		return 3
	case abi.Denied:
		return 4
	case abi.Deadline:
		return 5
	case abi.Overloaded, abi.Unavailable:
		return 6
	}
	return 1
}

// commandName is how the reader would call this program again.
func commandName() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return "go run ./host"
	}
	return "spore"
}

// version of this build, as the Go toolchain recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
