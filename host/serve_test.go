package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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

	"spore/abi"
	"spore/host/internal/testmodule"
)

const probe = `
[function.probe]
source = "ROOT/host/sandbox/testdata/probe"
timeout = "1s"
[[function.probe.route]]
path = "/{what}"
[[function.probe.route]]
path = "/{what}"
method = "POST"
`

func TestAnswersOfABadFunction(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	for path, want := range map[string]struct {
		status int
		code   string
		log    string
	}{
		"/spin":  {504, "deadline", "Task timed out after"},
		"/sleep": {504, "deadline", "Task timed out after"},
		"/exit":  {502, "exited", "exited with status 7"},
		"/panic": {502, "guest_error", "handler lost its way"},
		"/error": {502, "guest_error", "no such alert"},
		"/grow":  {502, "out_of_memory", "memory limit"},
	} {
		t.Run(path[1:], func(t *testing.T) {
			got := h.get(path)
			require.Equal(t, want.status, got.status)
			id := got.header.Get("X-Spore-Request-Id")
			require.Len(t, id, 36)
			require.Contains(t, got.body, want.code)
			require.Contains(t, got.body, id)
			for _, internal := range []string{"wasm", "goroutine", "/host/", "lost its way", "no such alert", "status 7"} {
				require.NotContains(t, got.body, internal)
			}
			h.logged("REPORT RequestId: "+id, 1)
			require.Contains(t, h.logs.String(), want.log)
			require.Equal(t, "1", h.get("/count").body, "the next request is clean")
			require.Equal(t, "ok", h.get("/healthz").body)
		})
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe+"[[function.probe.route]]\npath = \"/only/get\"\n"), time.Now)
	require.Equal(t, 404, h.get("/no/such/route").status)
	wrong := h.post("/only/get", "")
	require.Equal(t, 405, wrong.status)
	require.Contains(t, wrong.header.Get("Allow"), "GET")
	large := h.request("POST", "/body", "")
	large.Body, large.ContentLength = http.NoBody, 0
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 7<<20)
	head := make([]byte, 12)
	_, err = conn.Read(head)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 413", string(head))
	require.Equal(t, "6291456", h.post("/body", strings.Repeat("x", 6<<20)).body, "the largest body arrives")
}

func TestLogsCarryWhatTheGuestSaid(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	id := h.get("/log").header.Get("X-Spore-Request-Id")
	for _, text := range []string{"to stderr", "to stdout", "structured"} {
		line := h.logged(text, 1)[0]
		require.Equal(t, id, line["request_id"])
		require.Equal(t, "probe", line["function"])
		require.Equal(t, 1.0, line["version"])
	}
	report := h.logged("REPORT", 1)[0]["msg"].(string)
	for _, field := range []string{"RequestId: " + id, "\tDuration: ", "\tBilled Duration: ", "\tMemory Size: 64 MB\t", "\tMax Memory Used: ", "\tRestore Duration: "} {
		require.Contains(t, report, field)
	}
	h.get("/flood")
	require.Len(t, h.logged("log truncated", 1), 1)
	require.Less(t, len(h.logs.String()), 1<<20)
}

func TestDeploysThatAreRefused(t *testing.T) {
	t.Parallel()
	init := func(mode string) string {
		return strings.Replace(probe, `timeout = "1s"`, `init_timeout = "300ms"`+"\n"+`env = { PROBE_INIT = "`+mode+`" }`, 1)
	}
	for name, tc := range map[string]struct{ toml, want string }{
		"exits in init":           {init("exit"), "exited with status 3: cannot find my configuration"},
		"ends without a request":  {init("return"), "exited with status 0"},
		"panics in init":          {init("panic"), "panic: no luck today"},
		"spins in init":           {init("spin"), "raise init_timeout"},
		"sleeps in init":          {init("sleep"), "raise init_timeout"},
		"a secret that is not":    {strings.Replace(probe, "timeout", "secrets = [\"NOT_THERE\"]\ntimeout", 1) + "[secrets]\nenv = \"SPORE_TEST_NONE_\"\n", "NOT_THERE"},
		"source that won't build": {strings.Replace(probe, "testdata/probe", "testdata", 1), "no Go files"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fails(t, tc.toml)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "deploy probe")
		})
	}
}

func TestASecondHostOnTheSameDataIsRefusedByName(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	var out, logs buffer
	err := serve(t.Context(), serveOptions{config: filepath.Join(h.dir, "functions.toml"), out: &out, logs: &logs, now: time.Now})
	require.ErrorContains(t, err, fmt.Sprintf("in use by process %d", os.Getpid()))
}

func TestStopDrainsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, strings.Replace(probe, `"1s"`, `"5s"`, 1)), time.Now)
	early := make(chan reply)
	go func() { early <- h.get("/early") }()
	require.Equal(t, "first", (<-early).body) // the function goes on for 30 ms
	require.NoError(t, h.stop())
	require.NotEmpty(t, h.logged("still here", 1), "work after the answer was finished")
	require.NotEmpty(t, h.logged("stopped", 1))
}

// variant returns the hello module with another greeting of the same length.
func variant(t *testing.T, n int) (wasm []byte, greeting string) {
	t.Helper()
	wasm = testmodule.Build(t, "../modules/hello")
	greeting = fmt.Sprintf("Hello, %05d!", n)
	require.Equal(t, 1, bytes.Count(wasm, []byte("Hello, world!")))
	return bytes.Replace(wasm, []byte("Hello, world!"), []byte(greeting), 1), greeting
}

// dribble writes a file in pieces, as a slow copy does.
func dribble(t *testing.T, path string, content []byte) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for len(content) > 0 {
		n := min(len(content), 512<<10)
		_, err := f.Write(content[:n])
		require.NoError(t, err)
		content = content[n:]
		time.Sleep(time.Millisecond)
	}
}

// TestM6TwentySwapsUnderLoad replaces a module's file twenty times while clients
// ask, each a thousand times a second. No request may fail, and none that begins after a version
// was announced may be answered by an older one.
func TestM6TwentySwapsUnderLoad(t *testing.T) {
	t.Parallel()
	const swaps, variants = 20, 3
	dir := newDir(t, "[function.hello]\nmodule = \"hello.wasm\"\n[[function.hello.route]]\npath = \"/\"\n")
	file := filepath.Join(dir, "hello.wasm")
	wasm, first := variant(t, 0)
	require.NoError(t, os.WriteFile(file, wasm, 0o600))
	h := startHost(t, dir, time.Now)
	var live atomic.Pointer[string]
	live.Store(&first)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		clients.Go(func() {
			pace := time.NewTicker(time.Millisecond) // the host's log, which the test searches, has a line for each
			defer pace.Stop()
			for ctx.Err() == nil {
				<-pace.C
				before := live.Load()
				got := h.get("/")
				after := live.Load()
				if got.status != 200 || before == after && *before != "" && got.body != *before {
					t.Errorf("status %d, body %q while %q was live", got.status, got.body, *before)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := 1; i <= swaps; i++ {
		wasm, greeting := variant(t, i%variants)
		live.Store(new(string)) // between the write and the announcement either may answer
		dribble(t, file, wasm)
		h.logged("live", i+1)
		live.Store(&greeting)
		require.Equal(t, greeting, h.get("/").body)
	}
	cancel()
	clients.Wait()
	require.Greater(t, asked.Load(), int64(swaps))
	t.Logf("%d requests during %d swaps", asked.Load(), swaps)
}

func TestM6ABrokenModuleLeavesTheOldVersionServing(t *testing.T) {
	t.Parallel()
	dir := newDir(t, "[function.hello]\nmodule = \"hello.wasm\"\n[[function.hello.route]]\npath = \"/\"\n")
	wasm, greeting := variant(t, 0)
	file := filepath.Join(dir, "hello.wasm")
	require.NoError(t, os.WriteFile(file, wasm, 0o600))
	h := startHost(t, dir, time.Now)
	require.NoError(t, os.WriteFile(file, wasm[:len(wasm)/2], 0o600))
	require.Contains(t, h.logged("not deployed", 1)[0]["error"], "deploy hello")
	require.Equal(t, greeting, h.get("/").body)
	writeConfig(t, dir, "[function.hello]\nmodul = \"hello.wasm\"\n")
	require.Contains(t, h.logged("not reloaded", 1)[0]["error"], `did you mean "module"`)
	require.Equal(t, greeting, h.get("/").body)
}

func TestAChangedConfigurationIsANewVersion(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	require.NotContains(t, h.get("/env").body, "COLOUR=")
	writeConfig(t, h.dir, strings.Replace(probe, "timeout", "env = { COLOUR = \"blue\" }\ntimeout", 1))
	require.Equal(t, 2.0, h.logged("live", 2)[1]["version"])
	require.Contains(t, h.get("/env").body, "COLOUR=blue")
}

func TestAChangedSourceIsANewVersion(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	source := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(content), 0o600))
	}
	const main = `package main

import (
	"context"

	"spore/guest"
)

func main() {
	guest.Start(func(context.Context, guest.Event) (guest.Result, error) { return guest.Text("GREETING"), nil })
}
`
	write("go.mod", "module example\n\ngo 1.26.0\n\nrequire spore v0.0.0\n\nreplace spore => "+root+"\n")
	write("main.go", strings.Replace(main, "GREETING", "good morning", 1))
	h := startHost(t, newDir(t, "[function.greet]\nsource = \""+source+"\"\n[[function.greet.route]]\npath = \"/\"\n"), time.Now)
	require.Equal(t, "good morning", h.get("/").body)
	write("main.go", "package main // and no more")
	require.Contains(t, h.logged("not deployed", 1)[0]["error"], "build "+source)
	require.Equal(t, "good morning", h.get("/").body)
	write("main.go", strings.Replace(main, "GREETING", "good night", 1))
	h.logged("live", 2)
	require.Equal(t, "good night", h.get("/").body)
}

// TestARenamedFunctionLosesNoRequest moves one route between two function names
// under load.
func TestARenamedFunctionLosesNoRequest(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		return "[function." + name + "]\nsource = \"ROOT/modules/hello\"\n[[function." + name + ".route]]\npath = \"/\"\n"
	}
	h := startHost(t, newDir(t, named("one")), time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if got := h.get("/"); got.status != 200 {
					t.Errorf("status %d: %s", got.status, got.body)
					return
				}
			}
		})
	}
	for i := range 6 {
		writeConfig(t, h.dir, named([]string{"two", "one"}[i%2]))
		h.logged("removed", i+1)
	}
	cancel()
	clients.Wait()
}

func TestAChangedSecretsSourceReachesFunctionsThatServe(t *testing.T) {
	t.Parallel()
	const toml = "[secrets]\nfile = \"FILE\"\n[function.members]\nsource = \"ROOT/modules/members\"\nsecrets = [\"MEMBERS_API_TOKEN\"]\n[[function.members.route]]\npath = \"/m\"\n"
	dir := newDir(t, strings.Replace(toml, "FILE", "a.toml", 1))
	for name, token := range map[string]string{"a.toml": "first-token", "b.toml": "second-token"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("MEMBERS_API_TOKEN = \""+token+"\"\n"), 0o600))
	}
	h := startHost(t, dir, time.Now)
	status := func(token string) int {
		req := h.request("GET", "/m", "")
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept", "application/json")
		return h.do(req).status
	}
	require.Equal(t, 200, status("first-token"))
	require.Equal(t, 401, status("second-token"))
	writeConfig(t, dir, strings.Replace(toml, "FILE", "b.toml", 1))
	require.Eventually(t, func() bool { return status("second-token") == 200 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 401, status("first-token"))
}

func TestStoppingDuringTheFirstDeployIsNoError(t *testing.T) {
	t.Parallel()
	dir := newDir(t, strings.Replace(probe, "timeout", "env = { PROBE_INIT = \"sleep\" }\ntimeout", 1))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	var out, logs buffer
	require.NoError(t, serve(ctx, serveOptions{config: filepath.Join(dir, "functions.toml"), out: &out, logs: &logs, now: time.Now}))
	require.Empty(t, out.String())
}

func TestG12GuestsCannotForgeLogFieldsOrSteerTerminals(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := &host{log: slog.New(slog.NewJSONHandler(&out, nil))}
	h.guestLog("f", func() int { return 1 })("r-1", abi.LogRecord{Message: "\x1b[2Jcleared\r\n", Attrs: abi.Pairs{{Name: "level", Value: "ERROR"}, {Name: "function", Value: "other"}}})
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, "f", line["function"])
	require.Equal(t, map[string]any{"level": "ERROR", "function": "other"}, line["attrs"])
	require.Equal(t, `\x1b[2Jcleared\r\n`, line["msg"])

	out.Reset()
	h.guestLog("f", func() int { return 1 })("r-1", abi.LogRecord{Message: "REPORT RequestId: r-1\tDuration: 0.01 ms"})
	require.Contains(t, out.String(), `"attrs":{"stream":"log"}`, "as none of the host's own lines has")
}

// TestAHostOutlivesTheReaderOfItsLog, as where Ctrl-C in a shell ends both sides of
// `spore serve 2>&1 | tee log`: requests that are under way still get their answers.
func TestAHostOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	dir := newDir(t, helloFile)
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(dir, "functions.toml"))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	h := &testHost{t: t, dir: dir}
	for lines := bufio.NewScanner(out); h.url == ""; {
		require.True(t, lines.Scan(), "the host ended")
		_, h.url, _ = strings.Cut(lines.Text(), "spore serves ")
	}
	require.NoError(t, out.Close())
	for range 3 { // each has a REPORT line, which is written before the host ends
		require.Equal(t, 200, h.get("/").status)
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

func TestAHostWithoutRoutesSaysSo(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, ""), time.Now)
	require.Contains(t, h.out.String(), "no routes yet; add a [[function.NAME.route]] to "+filepath.Join(h.dir, "functions.toml"))
}

// TestAnAddressOfIPv4IsNoneOfIPv6: whoever wants both writes ":8080".
func TestAnAddressOfIPv4IsNoneOfIPv6(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0", "127.0.0.1:0": "127.0.0.1"} {
		l, err := listen(address)
		require.NoError(t, err)
		defer l.Close()
		host, _, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		require.Equal(t, want, host)
	}
}
