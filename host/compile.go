package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"spore/host/sandbox"
)

// compileVerb is what the host starts itself with to compile a module that it has
// not seen before: a module that blows the compiler up ends that process alone.
const compileVerb = "compile-module"

func newCompile() *cobra.Command {
	return &cobra.Command{
		Use:    compileVerb + " DIR",
		Short:  "compile a module from standard input, under limits (spore's own)",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE:   func(_ *cobra.Command, args []string) error { return sandbox.CompileMain(os.Stdin, args[0]) },
	}
}

// compiler is the command line of the compiling process. A host without one does not
// start: it would compile in its own process, and end with the first hostile module.
func compiler() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find spore's own file, which compiles modules in another process: %w; on Linux that takes /proc", err)
	}
	if runtime.GOOS == "linux" {
		exe = "/proc/self/exe" // this program, also where another has been put in its place
	}
	return []string{exe, compileVerb}, nil
}
