package guesttest_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest/guesttest"
)

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failed   bool
	said     strings.Builder
	cleanups []func()
}

func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Log(args ...any)  { fmt.Fprintln(&r.said, args...) }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatal(args ...any) {
	r.failed = true
	r.Log(args...)
	runtime.Goexit()
}
func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

// failing runs f as a test of its own and returns what it says when it fails.
func failing(t *testing.T, f func(tb testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for _, cleanup := range r.cleanups {
		cleanup()
	}
	require.True(t, r.failed)
	return r.said.String()
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "go.mod"), []byte("module broken\n\ngo 1.26.0\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(broken, "main.go"), []byte("package main\n\nfunc main() { missing() }\n"), 0o600))
	for name, tc := range map[string]struct {
		options guesttest.Options
		dir     string
		want    []string
	}{
		"a function that does not compile": {dir: broken, want: []string{"is not served", "main.go:3:15: undefined: missing"}},
		"one that cannot start": {dir: echo, options: guesttest.Options{Env: map[string]string{"BROKEN": "1"}},
			want: []string{"is not served", "cannot start"}},
		"settings that do not exist": {dir: echo, options: guesttest.Options{Settings: "timeuot = 1"},
			want: []string{"timeuot: unknown key; did you mean"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := failing(t, func(tb testing.TB) { tc.options.Build(tb, tc.dir) })
			for _, want := range tc.want {
				require.Contains(t, said, want)
			}
		})
	}
}

func TestLogsOfARequestThatReachedNoFunctionFail(t *testing.T) {
	t.Parallel()
	said := failing(t, func(tb testing.TB) {
		fn := guesttest.Options{Routes: []string{"GET /here"}}.Build(tb, echo)
		fn.Get(tb, "/there").Logs(tb)
	})
	require.Contains(t, said, "no function ran")
}

func TestARequestKeepsItsContext(t *testing.T) {
	t.Parallel()
	said := failing(t, func(tb testing.TB) {
		fn := guesttest.Build(tb, echo)
		ctx, cancel := context.WithCancel(tb.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", fn.URL()+"/", nil)
		require.NoError(t, err)
		fn.Do(tb, req)
	})
	require.Contains(t, said, "context canceled")
}

func TestAFailedTestShowsWhatTheFunctionLogged(t *testing.T) {
	t.Parallel()
	said := failing(t, func(tb testing.TB) {
		fn := guesttest.Build(tb, echo)
		fn.Get(tb, "/log").Logs(tb)
		fn.Get(tb, "/error").Logs(tb)
		tb.Fatal("enough")
	})
	require.Contains(t, said, "WARN look colour=\"blue\" size=\"3\"\nINFO printed stream=\"stdout\"\n")
	require.Contains(t, said, "no such alert")
	require.NotContains(t, said, "Billed Duration")
}

func TestWithoutACacheTheFunctionIsTestedAllTheSame(t *testing.T) {
	t.Setenv("GOCACHE", goEnv(t, "GOCACHE"))
	t.Setenv("GOMODCACHE", goEnv(t, "GOMODCACHE"))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	t.Setenv("HOME", file)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(file, "cache"))
	require.Equal(t, "1", guesttest.Build(t, echo).Get(t, "/count").Body)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func TestWithoutACommandTheErrorSaysWhatToDo(t *testing.T) {
	t.Setenv("SPORE", "")
	t.Setenv("PATH", t.TempDir())
	said := failing(t, func(tb testing.TB) { guesttest.Build(tb, echo) })
	require.Contains(t, said, "there is no spore command")
	require.Contains(t, said, "go build -o spore ./host")
	t.Setenv("SPORE", filepath.Join(t.TempDir(), "missing"))
	require.Contains(t, failing(t, func(tb testing.TB) { guesttest.Build(tb, echo) }), "the environment variable SPORE names no program")
}
