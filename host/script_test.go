package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"spore/host/internal/testmodule"
)

// compilerLost is a variable with the last words of every process that is to compile.
const compilerLost = "SPORE_TEST_COMPILER_LOST"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == compileVerb { // a host in a test starts its own program
		if words, lost := os.LookupEnv(compilerLost); lost {
			fmt.Fprintln(os.Stderr, words)
			os.Exit(1)
		}
		main()
	}
	testscript.Main(m, map[string]func(){"spore": main, "attack": attackMain, "ask": askMain})
}

// TestScripts runs the stories of testdata/script with the real command. ROOT is
// the source tree, and the Go toolchain keeps the caches it has outside.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	paths := strings.Fields(string(caches))
	derived := filepath.Join(testmodule.Directory(t), "derived")
	require.NoError(t, os.MkdirAll(derived, 0o700))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("GOCACHE", paths[0])
			env.Setenv("GOMODCACHE", paths[1])
			if err := os.Mkdir(filepath.Join(env.WorkDir, "data"), 0o700); err != nil {
				return err
			}
			return os.Symlink(derived, filepath.Join(env.WorkDir, "data", "derived"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"expand": expand},
	})
}

// expand replaces $ROOT in files by the source tree.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "$ROOT", ts.Getenv("ROOT"))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
