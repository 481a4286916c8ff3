package sandbox_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"spore/host/sandbox"
)

// compileAs is the verb with which a test has its own program compile a module,
// in one of the ways that a compiling process may go.
const compileAs = "compile-as"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == compileAs {
		compile(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

// compiler is the command line of a compiling process that goes a way.
func compiler(way string) []string { return []string{os.Args[0], compileAs, way} }

func compile(way, dir string) {
	switch way {
	case "well":
		if err := sandbox.CompileMain(os.Stdin, dir); err != nil {
			fmt.Fprintln(os.Stderr, "spore:", err)
			os.Exit(1)
		}
	case "panic in a worker":
		go func() { panic("the compiler lost its way") }()
		time.Sleep(time.Hour)
	case "nothing":
	case "silent failure":
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}
