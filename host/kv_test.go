package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keeper is a function NAME that does with its keys what its path says.
const keeper = `
[function.NAME]
source = "ROOT/host/sandbox/testdata/kvprobe"
GRANT
[[function.NAME.route]]
path = "/NAME/{what:*}"
method = "POST"
`

func keepers(names ...string) string {
	var toml strings.Builder
	for _, name := range names {
		name, grant, _ := strings.Cut(name, "=")
		if grant != "" {
			grant = fmt.Sprintf("kv = %q", grant)
		}
		toml.WriteString(strings.NewReplacer("NAME", name, "GRANT", grant).Replace(keeper))
	}
	return toml.String()
}

// asks makes a request and returns what the function says to it.
func (h *testHost) asks(name, what, key, value string) string {
	h.t.Helper()
	got := h.post("/"+name+"/"+what+"?"+key, value)
	require.Equal(h.t, 200, got.status, got.body)
	return got.body
}

func TestKeysOutliveHosts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	dir := newDir(t, keepers("a=1MiB", "b=1MiB"))
	h := startHost(t, dir, func() time.Time { return now })
	require.Equal(t, "created", h.asks("a", "create", "k", "a's"))
	require.Equal(t, "conflict: ErrConflict", h.asks("a", "create", "k", "again"))
	require.Equal(t, "not_found: ErrNotFound", h.asks("b", "get", "k", ""))
	require.NoError(t, h.stop())

	now = now.Add(59 * time.Minute)
	h = startHost(t, dir, func() time.Time { return now })
	require.Equal(t, "a's", h.asks("a", "get", "k", ""))
	require.Equal(t, "conflict: ErrConflict", h.asks("a", "create", "k", "again"))
	require.Empty(t, h.asks("b", "list", "", ""))
	require.NoError(t, h.stop())

	now = now.Add(time.Minute)
	h = startHost(t, dir, func() time.Time { return now })
	require.Equal(t, "not_found: ErrNotFound", h.asks("a", "get", "k", ""), "by the host's clock it has expired")
	require.Equal(t, "created", h.asks("a", "create", "k", "again"))
}

func TestOfManySandboxesOneCreates(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, keepers("a=1MiB")), time.Now)
	const rounds, each = 10, 24
	for round := range rounds {
		var created, lost atomic.Int64
		var wg sync.WaitGroup
		for range each {
			wg.Go(func() {
				switch got := h.asks("a", "create", fmt.Sprint("k", round), ""); got {
				case "created":
					created.Add(1)
				case "conflict: ErrConflict":
					lost.Add(1)
				default:
					t.Errorf("%s", got)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), created.Load())
		require.Equal(t, int64(each-1), lost.Load())
	}
	var wg sync.WaitGroup
	for range each {
		wg.Go(func() { h.asks("a", "count", "n", "") })
	}
	wg.Wait()
	require.Equal(t, fmt.Sprint(each+1), h.asks("a", "count", "n", ""), "no count is lost")
}

// TestAHostWithoutKeysOpensNoStore, and one that is given some opens it at once.
func TestAHostWithoutKeysOpensNoStore(t *testing.T) {
	t.Parallel()
	dir := newDir(t, keepers("a"))
	h := startHost(t, dir, time.Now)
	require.Equal(t, `denied: kv get "k": denied: kv_start: not granted; add kv = "16MiB" to function a in functions.toml`, h.asks("a", "get", "k", ""))
	require.NoFileExists(t, filepath.Join(dir, "data", "state"))
	h.logged("live", 1)
	writeConfig(t, dir, keepers("a=64KiB"))
	h.logged("live", 2)
	require.Equal(t, "put", h.asks("a", "put", "k", strings.Repeat("v", 60<<10)))
	require.Contains(t, h.asks("a", "put", "l", strings.Repeat("v", 60<<10)), "raise kv of function a in functions.toml")
	require.Len(t, h.asks("a", "get", "k", ""), 60<<10)
	writeConfig(t, dir, keepers("a=1MiB"))
	h.logged("live", 3)
	require.Equal(t, "put", h.asks("a", "put", "l", strings.Repeat("v", 60<<10)))
	require.Equal(t, "k,l", h.asks("a", "list", "", ""))
	require.NotContains(t, h.logs.String(), "[INF]", "the server behind it keeps quiet")
}

func TestAClusterThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := newDir(t, `nats = "nats://user:s3cret@127.0.0.1:1"`+"\n"+keepers("a=1MiB"))
	var out, logs buffer
	err := serve(t.Context(), serveOptions{config: filepath.Join(dir, "functions.toml"), out: &out, logs: &logs, now: time.Now})
	require.ErrorContains(t, err, "open state at nats://127.0.0.1:1")
	require.ErrorContains(t, err, "correct nats under [host] in functions.toml")
	require.NotContains(t, err.Error(), "s3cret")
}

// TestAKilledHostKeepsWhatItAcknowledged ends the process between two writes.
func TestAKilledHostKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := newDir(t, keepers("a=16MiB"))
	h := &testHost{t: t, dir: dir}
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(dir, "functions.toml"))
	cmd.Stdout, cmd.Stderr = &h.out, &h.logs
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		_, url, found := strings.Cut(h.out.String(), "spore serves ")
		h.url, _, _ = strings.Cut(url, "\n")
		return found && h.url != ""
	}, 2*time.Minute, 10*time.Millisecond, "%s", &h.logs)
	for i := range 50 {
		require.Equal(t, "created", h.asks("a", "create", fmt.Sprint("k", i), "v"))
	}
	require.Equal(t, "deleted", h.asks("a", "delete", "k7", ""))
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	h = startHost(t, dir, time.Now)
	require.Len(t, strings.Split(h.asks("a", "list", "", ""), ","), 49)
	require.Equal(t, "not_found: ErrNotFound", h.asks("a", "get", "k7", ""))
	require.Equal(t, "conflict: ErrConflict", h.asks("a", "create", "k49", "again"))
}

// TestALocalRunKeepsToo, unless a host has the data directory.
func TestALocalRunKeepsToo(t *testing.T) {
	t.Parallel()
	dir := newDir(t, keepers("a=1MiB", "b"))
	local := func(name, path string) (string, error) {
		out, err := exec.Command("spore", "invoke", name, "--config", filepath.Join(dir, "functions.toml"), "--local", "--path", path, "-e", os.DevNull).CombinedOutput()
		return string(out), err
	}
	out, err := local("a", "/a/create?k")
	require.NoError(t, err, out)
	require.Contains(t, out, "created")
	h := startHost(t, dir, time.Now)
	require.Contains(t, h.asks("a", "create", "k", ""), "ErrConflict")
	out, err = local("a", "/a/create?k")
	require.Error(t, err)
	require.Contains(t, out, fmt.Sprint("is in use by process ", os.Getpid()))
	require.Contains(t, out, "without --local")
	out, err = local("b", "/b/get?k")
	require.NoError(t, err, "a function without keys does not need the directory: %s", out)
}
