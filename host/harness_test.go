package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
)

// buffer is an output that a test reads while the host writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// testHost is a running `spore serve` in this process: real listener, real
// modules, real files.
type testHost struct {
	t    *testing.T
	url  string
	dir  string // of functions.toml
	out  buffer
	logs buffer
	stop func() error

	process *hostProcess // nil when it runs in this one
}

// newDir makes a directory for a host, with toml as its functions.toml. Paths in
// it may begin with ROOT, the source tree. Derived files are shared by all tests.
func newDir(t *testing.T, toml string) string {
	t.Helper()
	dir := t.TempDir()
	shared := filepath.Join(testmodule.Directory(t), "derived")
	require.NoError(t, os.MkdirAll(shared, 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.Symlink(shared, filepath.Join(dir, "data", "derived")))
	writeConfig(t, dir, toml)
	return dir
}

func writeConfig(t *testing.T, dir, toml string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	toml = "[host]\nlisten = \"127.0.0.1:0\"\n" + strings.ReplaceAll(toml, "ROOT", root)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "functions.toml"), []byte(toml), 0o600))
}

// startHost serves dir until the test ends and waits until it listens.
func startHost(t *testing.T, dir string, now func() time.Time) *testHost {
	t.Helper()
	h := &testHost{t: t, dir: dir}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, serveOptions{config: filepath.Join(dir, "functions.toml"), out: &h.out, logs: &h.logs, now: now})
	}()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { require.NoError(t, h.stop()) })
	listens := regexp.MustCompile(`spore serves (http://\S+)`)
	for h.url == "" {
		select {
		case err := <-ended:
			ended <- nil
			require.NoError(t, err, "the host ended: %s", h.logs.String())
		case <-time.After(10 * time.Millisecond):
		}
		if m := listens.FindStringSubmatch(h.out.String()); m != nil {
			h.url = m[1]
		}
	}
	return h
}

// hostProcess is a process of its own that a host runs in. Its log is a file: reading
// along would take processor time from the host.
type hostProcess struct {
	*os.Process
	log    *os.File // from where it was not read yet
	unread []byte   // of what was
}

// startProcess serves dir by a process of its own and ends it with the test.
func startProcess(t *testing.T, dir string) *testHost {
	t.Helper()
	h, refusal := tryProcess(t, dir)
	require.Empty(t, refusal, "the host ended")
	return h
}

// tryProcess is startProcess for a host that may refuse to start. It then returns what
// the host said.
func tryProcess(t *testing.T, dir string) (h *testHost, refusal string) {
	t.Helper()
	h = &testHost{t: t, dir: dir}
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(dir, "functions.toml"))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = &h.out, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	written, err := os.Open(log.Name())
	require.NoError(t, err)
	text := func() string {
		b, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		return string(b[max(0, len(b)-10_000):])
	}
	h.process = &hostProcess{Process: cmd.Process, log: written}
	h.stop = sync.OnceValue(func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return fmt.Errorf("%w: %s", err, text())
		}
		return <-ended
	})
	t.Cleanup(func() {
		if refusal == "" {
			require.NoError(t, h.stop())
		}
		all, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		require.NotContains(t, string(all), `"msg":"panic"`)
		require.NoError(t, written.Close())
	})
	listens := regexp.MustCompile(`spore serves (http://\S+)`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); h.url == ""; {
		select {
		case err := <-ended:
			refusal = text()
			require.Error(t, err, "it ended without being told to: %s", refusal)
			require.Contains(t, []int{1, exitCode(&function.Error{Kind: abi.Unavailable})}, cmd.ProcessState.ExitCode(), "%s", refusal)
			return nil, refusal
		case <-tick.C:
			require.Less(t, time.Since(start), 2*time.Minute, "%s", text())
		}
		if m := listens.FindStringSubmatch(h.out.String()); m != nil {
			h.url = m[1]
		}
	}
	return h, ""
}

// requireSameProcess makes sure that the process that was started is the one that runs
// and holds the data directory.
func (h *testHost) requireSameProcess(t *testing.T) {
	t.Helper()
	require.NoError(t, h.process.Signal(syscall.Signal(0)), "the process has ended")
	holder, err := os.ReadFile(filepath.Join(h.dir, "data", "lock"))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("process %d\n", h.process.Pid), string(holder))
	require.Equal(t, 200, h.get("/healthz").status)
}

// next waits for the process's next log line that contains all texts.
func (h *testHost) next(texts ...string) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	p := h.process
	var passed []byte
	for start := time.Now(); time.Since(start) < 2*time.Minute; <-tick.C {
		more, err := io.ReadAll(p.log)
		require.NoError(h.t, err)
		p.unread = append(p.unread, more...)
		for {
			line, rest, whole := bytes.Cut(p.unread, []byte("\n"))
			if !whole {
				break
			}
			p.unread = rest
			if !slices.ContainsFunc(texts, func(text string) bool { return !bytes.Contains(line, []byte(text)) }) {
				return
			}
			if bytes.Contains(line, []byte(texts[0])) {
				passed = line
			}
		}
	}
	require.Fail(h.t, "no such line in the log", "want %q, the last like it is %s", texts, passed)
}

// fails runs serve on toml and returns the error it refuses with.
func fails(t *testing.T, toml string) error {
	t.Helper()
	var out, logs buffer
	err := serve(t.Context(), serveOptions{config: filepath.Join(newDir(t, toml), "functions.toml"), out: &out, logs: &logs, now: time.Now})
	require.Error(t, err)
	return err
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (h *testHost) do(req *http.Request) reply {
	h.t.Helper()
	res, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return reply{res.StatusCode, res.Header, string(body)}
}

func (h *testHost) request(method, path, body string) *http.Request {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	return req
}

func (h *testHost) get(path string) reply        { return h.do(h.request("GET", path, "")) }
func (h *testHost) post(path, body string) reply { return h.do(h.request("POST", path, body)) }

// logged waits until the log has n lines whose message contains text, and
// returns them.
func (h *testHost) logged(text string, n int) []map[string]any {
	h.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; {
		var found []map[string]any
		for line := range strings.Lines(h.logs.String()) {
			if !strings.Contains(line, text) { // reading a hundred thousand lines as JSON again and again takes minutes
				continue
			}
			var rec map[string]any
			if json.Unmarshal([]byte(line), &rec) == nil && strings.Contains(rec["msg"].(string), text) {
				found = append(found, rec)
			}
		}
		if len(found) >= n {
			return found
		}
		require.True(h.t, time.Now().Before(end), "no %d log lines with %q in:\n%s", n, text, h.logs.String())
		time.Sleep(5 * time.Millisecond)
	}
}

// underLoad asks for / until it is told to stop, and returns how often it did. Any
// answer but 200 fails the test.
func underLoad(h *testHost) (stop func() int64) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var clients sync.WaitGroup
	var asked atomic.Int64
	for range 2 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if got := h.get("/"); got.status != 200 {
					h.t.Errorf("status %d: %s", got.status, got.body)
					return
				}
				asked.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		clients.Wait()
		return asked.Load()
	}
}
