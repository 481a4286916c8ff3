package main

import (
	"os"

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

// compiler is the command line of the compiling process; nil, which compiles in
// this process, where the program's own file cannot be found.
func compiler() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, compileVerb}
}
