package guesttest_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest/guesttest"
)

// TestMain makes the spore command of this tree the one that is used.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "guesttest-")
	if err != nil {
		panic(err)
	}
	spore := filepath.Join(dir, "spore")
	if out, err := exec.Command("go", "build", "-o", spore, "spore/host").CombinedOutput(); err != nil {
		panic(string(out))
	}
	os.Setenv("SPORE", spore)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const echo = "testdata/echo"

func TestRequestsReachTheFunctionAsTheyAre(t *testing.T) {
	t.Parallel()
	fn := guesttest.Build(t, echo)
	require.Equal(t, "GET /?   ", fn.Get(t, "/").Body)
	require.Equal(t, "GET /a%20b?x=1&y   ", fn.Get(t, "/a%20b?x=1&y").Body)
	require.Equal(t, `POST /a/b? application/json  {"a":1}`, fn.Post(t, "/a/b", `{"a":1}`).Body)
	require.Contains(t, fn.Slack(t, "/slack", "/stats members now").Body, "command=%2Fstats&response_url=https%3A%2F%2Fhooks.slack.com")
	require.Contains(t, fn.Slack(t, "/slack", "/stats members now").Body, "&text=members+now&")

	req, err := http.NewRequest("PUT", fn.URL()+"/put", strings.NewReader("\xff\x00"))
	require.NoError(t, err)
	req.Header.Set("X-Colour", "blue")
	res := fn.Do(t, req)
	require.Equal(t, "PUT /put?   \xff\x00", res.Body)
	require.Equal(t, "blue", res.Header.Get("X-Colour"))
	res = fn.Get(t, "/redirect")
	require.Equal(t, 302, res.Status)
	require.Equal(t, "/elsewhere", res.Header.Get("Location"))
	for range 3 {
		require.Equal(t, "1", fn.Get(t, "/count").Body, "every request has a fresh sandbox")
	}
}

func TestRoutesAreThoseOfTheOptions(t *testing.T) {
	t.Parallel()
	fn := guesttest.Options{Routes: []string{"GET /hello/{name}"}}.Build(t, echo)
	require.Equal(t, "GET /hello/Ada?  Ada ", fn.Get(t, "/hello/Ada").Body)
	require.Equal(t, 404, fn.Get(t, "/hello").Status)
	require.Equal(t, 405, fn.Post(t, "/hello/Ada", "").Status)
}

func TestLogsAreThoseOfTheRequest(t *testing.T) {
	t.Parallel()
	fn := guesttest.Build(t, echo)
	res := fn.Get(t, "/log")
	require.Equal(t, 202, res.Status)
	logs := res.Logs(t)
	require.Len(t, logs, 3)
	require.Equal(t, "look", logs[0].Message)
	require.Equal(t, "WARN", logs[0].Level.String())
	require.Equal(t, map[string]string{"colour": "blue", "size": "3"}, logs[0].Attrs)
	require.Equal(t, "test", logs[0].Fields["function"])
	require.Equal(t, "printed", logs[1].Message)
	require.Equal(t, "REPORT RequestId: "+res.RequestID+" is not the host's", logs[2].Message)
	require.Regexp(t, `^REPORT RequestId: `+res.RequestID+`\tDuration: `, res.Report(t))

	late := fn.Get(t, "/late")
	require.Equal(t, "now", late.Body)
	require.Len(t, late.Logs(t), 3, "what looks like the host's last line is the function's")
	require.Equal(t, "later", late.Logs(t)[2].Message, "work after the answer belongs to the request")
}

func TestAFailureHasItsStatusAndReason(t *testing.T) {
	t.Parallel()
	fn := guesttest.Options{Settings: `timeout = "1s"`}.Build(t, echo)
	res := fn.Get(t, "/error")
	require.Equal(t, 502, res.Status)
	require.Contains(t, res.Logs(t)[0].Fields["error"], "no such alert")
	res = fn.Get(t, "/large")
	require.Equal(t, 502, res.Status)
	const limits = "a body may have 6291456 bytes, 1000 headers together 131072"
	require.Contains(t, res.Logs(t)[0].Fields["error"], "send_response: too_large: "+limits)
	res = fn.Get(t, "/many-headers")
	require.Equal(t, 502, res.Status)
	require.Contains(t, res.Logs(t)[0].Fields["error"], "send_response: invalid: "+limits)
	res = fn.Get(t, "/spin")
	require.Equal(t, 504, res.Status)
	require.Contains(t, res.Logs(t)[0].Message, "Task timed out after 1.")
	require.Contains(t, res.Report(t), "Status: timeout")
}

func TestAPanicAfterTheAnswerHasItsStackInTheLog(t *testing.T) {
	t.Parallel()
	fn := guesttest.Build(t, echo)
	res := fn.Get(t, "/late-panic")
	require.Equal(t, "now", res.Body)
	line := res.Logs(t)[0]
	require.Equal(t, "error after the answer was sent", line.Message)
	require.Equal(t, "ERROR", line.Level.String())
	require.Equal(t, "assignment to entry in nil map", line.Attrs["error"])
	require.Equal(t, "plainError", line.Attrs["type"])
	require.Contains(t, line.Attrs["stack"], "echo/main.go:")
}

func TestARecordOverTheLimitIsClipped(t *testing.T) {
	t.Parallel()
	logs := guesttest.Build(t, echo).Get(t, "/log-large").Logs(t)
	require.Len(t, logs, 2)
	require.Equal(t, strings.Repeat("x", 16<<10), logs[0].Message)
	require.Equal(t, map[string]string{"first": "1"}, logs[0].Attrs)
	require.Equal(t, "a large value", logs[1].Message)
	require.Equal(t, map[string]string{"first": "1", "dropped": "2"}, logs[1].Attrs)
}

func TestARequestTooManyHasALogWithoutAReport(t *testing.T) {
	t.Parallel()
	fn := guesttest.Options{Settings: "timeout = \"1s\"\nconcurrency = 1"}.Build(t, echo)
	both := make(chan *guesttest.Result, 2)
	for range 2 {
		go func() { both <- fn.Get(t, "/spin") }()
	}
	refused := <-both
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "invocation refused", refused.Logs(t)[0].Message)
	require.Empty(t, refused.Report(t))
	require.Equal(t, 504, (<-both).Status)
}

func TestGrantsAreThoseOfTheOptions(t *testing.T) {
	t.Parallel()
	upstream := guesttest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, r.URL.Path)
	})
	const quotes, del = `"q" \ '` + "\n\t", "\x7f"
	o := guesttest.Options{
		Env:         map[string]string{"UPSTREAM": upstream, "ODD NAME": quotes + del},
		Secrets:     map[string]string{"TOKEN": quotes + "a secret value"},
		HTTPPrivate: []string{upstream},
	}
	fn := o.Build(t, echo)
	res := fn.Get(t, "/fetch")
	require.Equal(t, 418, res.Status)
	require.Equal(t, "/figures", res.Body)
	require.Equal(t, quotes+"a secret value", fn.Get(t, "/secret?TOKEN").Body)
	require.Equal(t, quotes+del, envOf(t, o))

	o.HTTPPrivate, o.Secrets = nil, nil
	fn = o.Build(t, echo)
	for path, reason := range map[string]string{"/fetch": "denied", "/secret?TOKEN": "denied"} {
		res := fn.Get(t, path)
		require.Equal(t, 502, res.Status, path)
		require.Contains(t, fmt.Sprint(res.Logs(t)), reason)
	}
}

// envOf asks for a variable whose name no path can have.
func envOf(t *testing.T, o guesttest.Options) string {
	o.Env = map[string]string{"ODD": o.Env["ODD NAME"]}
	return o.Build(t, echo).Get(t, "/env?ODD").Body
}

func TestSecretsAreNotInTheLog(t *testing.T) {
	t.Parallel()
	fn := guesttest.Options{Secrets: map[string]string{"TOKEN": "very-secret-value"}}.Build(t, echo)
	res := fn.Get(t, "/secret?TOKEN")
	require.Equal(t, "very-secret-value", res.Body)
	require.Equal(t, "the secret is [secret TOKEN]", res.Logs(t)[0].Message)
}

func TestOneFunctionServesManyTests(t *testing.T) {
	t.Parallel()
	fn := guesttest.Build(t, echo)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for range 10 {
				res := fn.Post(t, "/x", fmt.Sprint(i))
				if want := fmt.Sprintf("POST /x? application/json  %d", i); res.Body != want || len(res.Logs(t)) != 0 {
					t.Errorf("got %q, want %q", res.Body, want)
				}
			}
		})
	}
	clients.Wait()
}
