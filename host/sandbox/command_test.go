package sandbox_test

import (
	"bytes"
	"net/http/cgi"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// commands are one program in two languages, compiled without anything of spore's.
var commands = map[string]func(testing.TB) []byte{
	"go": func(tb testing.TB) []byte { return testmodule.Build(tb, "testdata/command") },
	"c":  prebuilt("command/main.wasm"),
}

func prepareCommand(t testing.TB, wasm []byte, logs *records, env ...string) *sandbox.Image {
	t.Helper()
	s := languageSettings(logs)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		s.Env[name] = value
	}
	img := prepareModule(t, wasm, s)
	require.Contains(t, img.Note(), "a plain WASI command")
	return img
}

func TestCommands(t *testing.T) {
	const text, bin = "text/plain; charset=utf-8", "application/octet-stream"
	longest := strings.Repeat("x", abi.MaxBody)
	tests := map[string]struct {
		path, body string
		want       abi.Result
		kind       abi.Kind
		fails      string
		logs       []string
	}{
		"the body is read and the answer written": {body: "5 € a day", want: abi.Result{ContentType: text, Body: []byte("5 € A DAY")}},
		"no body":                     {want: abi.Result{ContentType: text}},
		"the longest body and answer": {body: longest, want: abi.Result{ContentType: text, Body: []byte(strings.ToUpper(longest))}},
		"no state":                    {path: "/count", want: abi.Result{ContentType: text, Body: []byte("1 0")}},
		"no output":                   {path: "/silent", body: "unread", want: abi.Result{ContentType: text}},
		"output that is no text":      {path: "/bytes", want: abi.Result{ContentType: bin, Body: []byte("\xff\x00\xfe")}},
		"an exit with status 0":       {path: "/exit0", want: abi.Result{ContentType: text, Body: []byte("whole")}},
		"an exit with status 3":       {path: "/exit", kind: abi.Exited, fails: "exited with status 3: cannot go on", logs: []string{"id 0 cannot go on [{stream stderr}]"}},
		"too much output":             {path: "/large", kind: abi.TooLarge, fails: "more than 6291456 bytes to standard output"},
		"a trap":                      {path: "/trap", kind: abi.Trapped},
		"an endless loop":             {path: "/spin", kind: abi.Deadline},
	}
	for language, module := range commands {
		t.Run(language, func(t *testing.T) {
			var logs records
			img := prepareCommand(t, module(t), &logs)
			for name, tc := range tests {
				t.Run(name, func(t *testing.T) {
					limit := 5 * time.Second
					if tc.kind == abi.Deadline {
						limit = 100 * time.Millisecond
					}
					for range 2 {
						logs.takeAll()
						ev := abi.Event{RequestID: "id", Method: "POST", Path: tc.path, Body: []byte(tc.body)}
						res, stats, err := tell(t, img, ev, limit)
						require.Equal(t, tc.kind, function.KindOf(err), "%v", err)
						if tc.kind != abi.None {
							require.ErrorContains(t, err, tc.fails)
						}
						require.Equal(t, tc.kind == abi.None, stats.Answered)
						require.Equal(t, tc.want.ContentType, res.ContentType)
						require.True(t, bytes.Equal(tc.want.Body, res.Body), "%.100q", res.Body)
						require.Equal(t, tc.logs, logs.takeAll())
					}
				})
			}
		})
	}
}

// environment returns what a command sees.
func environment(t *testing.T, img *sandbox.Image, ev abi.Event) map[string]string {
	t.Helper()
	res, _, err := tell(t, img, ev, 5*time.Second)
	require.NoError(t, err)
	lines := strings.Split(string(res.Body), "\n")
	require.Equal(t, "1 guest", lines[len(lines)-1])
	vars := map[string]string{}
	for _, line := range lines[:len(lines)-1] {
		name, value, ok := strings.Cut(line, "=")
		require.True(t, ok, line)
		require.NotContains(t, vars, name, "it is there twice")
		vars[name] = value
	}
	return vars
}

func TestCommandsKnowTheRequestByCGI(t *testing.T) {
	var logs records
	img := prepareCommand(t, commands["c"](t), &logs, "HTTP_TIMEOUT=configured")
	vars := environment(t, img, abi.Event{Method: "POST", Path: "/%65nv", RawQuery: "a=%20&b", ClientAddr: "[2001:db8::1]:4711", ContentType: "text/x", Body: []byte("12345"),
		Headers: abi.Pairs{{Name: "host", Value: "example.test:8080"}, {Name: "x-twice", Value: "1"}, {Name: "x-twice", Value: "2"},
			{Name: "cookie", Value: "a=1"}, {Name: "cookie", Value: "b=2"}, {Name: "content-type", Value: "text/x"}, {Name: "content-length", Value: "5"}}})
	delete(vars, "GOGC")
	delete(vars, "GOMEMLIMIT")
	require.Equal(t, map[string]string{
		"COLOUR": "blue", "EMPTY": "", "HTTP_TIMEOUT": "configured",
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "spore", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "example.test", "SERVER_PORT": "8080",
		"REQUEST_METHOD": "POST", "REQUEST_URI": "/%65nv?a=%20&b", "SCRIPT_NAME": "", "PATH_INFO": "/env", "QUERY_STRING": "a=%20&b",
		"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "4711", "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "5",
		"HTTP_HOST": "example.test:8080", "HTTP_X_TWICE": "1, 2", "HTTP_COOKIE": "a=1; b=2",
	}, vars)

	req, err := cgi.RequestFromMap(vars) // another reading of RFC 3875
	require.NoError(t, err)
	require.Equal(t, "http://example.test:8080/%65nv?a=%20&b", req.URL.String())
	require.Equal(t, int64(5), req.ContentLength)
	require.Equal(t, "text/x", req.Header.Get("Content-Type"))
	require.Equal(t, "[2001:db8::1]:4711", req.RemoteAddr)
}

// TestClientsCannotReachOtherVariables sends what would set, end or shadow a
// variable that is not the header's own.
func TestClientsCannotReachOtherVariables(t *testing.T) {
	var logs records
	img := prepareCommand(t, commands["c"](t), &logs, "HTTP_TIMEOUT=configured")
	harmless := environment(t, img, abi.Event{Method: "GET", Path: "/env"})
	vars := environment(t, img, abi.Event{Method: "GET", Path: "/env", Headers: abi.Pairs{
		{Name: "proxy", Value: "http://evil.test"}, {Name: "timeout", Value: "0"}, {Name: "x_forwarded_for", Value: "1"}, {Name: "a=b", Value: "1"},
		{Name: "a\x00b", Value: "1"}, {Name: "", Value: "1"}, {Name: "zero", Value: "a\x00COLOUR=red"}, {Name: "é", Value: "1"}}})
	require.Equal(t, harmless, vars)

}

func TestEventsThatAreNotHTTPHaveNoRequest(t *testing.T) {
	var logs records
	img := prepareCommand(t, commands["c"](t), &logs, "PATH_INFO=/env")
	vars := environment(t, img, abi.Event{Trigger: "invoke", ContentType: "text/x", Body: []byte("12345")})
	delete(vars, "GOGC")
	delete(vars, "GOMEMLIMIT")
	require.Equal(t, map[string]string{"COLOUR": "blue", "EMPTY": "", "PATH_INFO": "/env", "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "5"}, vars)
}

func TestAnEnvironmentIsBounded(t *testing.T) {
	var logs records
	img := prepareCommand(t, commands["c"](t), &logs)
	for size, want := range map[int]abi.Kind{120 << 10: abi.None, abi.MaxHead: abi.TooLarge} {
		ev := abi.Event{Method: "GET", Headers: abi.Pairs{{Name: "x-long", Value: strings.Repeat("x", size)}}}
		_, _, err := tell(t, img, ev, 5*time.Second)
		require.Equal(t, want, function.KindOf(err), "%v", err)
	}
}

// TestHostilePointersToACommandsCalls is for the calls that a command's run answers
// itself.
func TestHostilePointersToACommandsCalls(t *testing.T) {
	var logs records
	img := prepareCommand(t, commands["c"](t), &logs)
	res, _, err := tell(t, img, abi.Event{Method: "POST", Path: "/hostile", Body: bytes.Repeat([]byte{0xff}, 100)}, 5*time.Second)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(res.Body), "alive"), "%q", res.Body)
}

// BenchmarkCommands is the time from an event to the end of a program that does
// nothing, in an instance of its own.
func BenchmarkCommands(b *testing.B) {
	for language, module := range commands {
		b.Run(language, func(b *testing.B) {
			var logs records
			img := prepareCommand(b, module(b), &logs)
			for b.Loop() {
				_, _, err := ask(b, img, abi.Event{Method: "GET", Path: "/silent"}, 5*time.Second)
				require.NoError(b, err)
			}
		})
	}
}

func TestModulesThatAreNoCommands(t *testing.T) {
	command := commands["c"](t)
	require.NoError(t, sandbox.Check(command))
	renamed := bytes.Replace(command, []byte("\x06_start"), []byte("\x06_stark"), 1)
	neither := handmade{exports: map[string]string{abi.ExportServe: "", abi.ExportStart: ""}}
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"neither export":                {renamed, "exports neither the function spore_serve(), as a spore function does, nor _start()"},
		"neither export of a guest":     {neither.bytes(), "exports neither the function spore_serve(), as a spore function does, nor _start()"},
		"a guest without spore_serve":   {handmade{exports: map[string]string{abi.ExportServe: ""}}.bytes(), "does not export the function spore_serve(); is it a spore function"},
		"a memory that is not exported": {bytes.Replace(command, []byte("\x06memory"), []byte("\x06memorz"), 1), "does not export its memory"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, sandbox.Check(tc.wasm), tc.want) })
	}
}
