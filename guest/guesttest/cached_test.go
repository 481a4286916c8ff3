package guesttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What only main reaches is not in a test's binary, which is therefore the same
// whatever the function answers.
func TestTheGoCommandKeepsNoResultOfAFunctionThatHasChanged(t *testing.T) {
	t.Parallel()
	run := func(dir, program string, args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod")
		out, _ := cmd.CombinedOutput() // says how it ended
		return string(out)
	}
	parent := t.TempDir()
	run(parent, os.Getenv("SPORE"), "new", "fn")
	fn := filepath.Join(parent, "fn")
	require.Regexp(t, `^ok  \tfn\t[0-9.]+s`, run(fn, "go", "test", "."))
	require.Regexp(t, `^ok  \tfn\t\(cached\)`, run(fn, "go", "test", "."))

	main := filepath.Join(fn, "main.go")
	code, err := os.ReadFile(main)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(main, []byte(strings.Replace(string(code), `"Hello, "`, `"Goodbye, "`, 1)), 0o600))
	require.Contains(t, run(fn, "go", "test", "."), "Goodbye, Ada!")
}
