// Package guesttest runs a function in real sandboxes for its tests:
//
//	func TestGreets(t *testing.T) {
//		fn := guesttest.Build(t, ".")
//		res := fn.Get(t, "/greet?name=Ada")
//		if res.Status != 200 || res.Body != "Hello, Ada!\n" {
//			t.Errorf("got %d %q", res.Status, res.Body)
//		}
//	}
//
// It starts the spore command with the function behind a listener of its own and
// talks to it over HTTP, so a test sees what clients will see: the route, the
// snapshot, deadlines, grants and status codes. Each request has a fresh sandbox;
// parallel tests may share a Function or have one each. The function's first build
// takes seconds, one that has not changed a tenth of a second; what is kept for
// that is in the directory spore-guesttest of the user's cache.
//
// The command is the file that the environment variable SPORE names, or spore in
// PATH. Only the standard library is used.
package guesttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Options is what functions.toml would say about the function. The zero value
// grants it nothing and sends it the requests of every method and path.
type Options struct {
	Routes      []string          // "METHOD /path", with parameters as in functions.toml: "GET /greet/{name}"
	Env         map[string]string // environment variables
	Secrets     map[string]string // values of the secrets that the function may read
	HTTP        []string          // public origins it may call
	HTTPPrivate []string          // origins it may call whatever their address: what Upstream returned
	Settings    string            // further lines of [function.NAME], as they are: `timeout = "2s"`. Paths are absolute
}

// Build builds the function in dir, a directory relative to the test's own, and
// serves it until the test ends, with no grants. What it still does then, after its
// answer, is waited for, half a minute at most. The test fails when the function does
// not build, or its initialisation fails. The go command keeps the result of a test
// until something in its own module changes: tests of a function in another module,
// or with another spore command, are run with -count=1.
func Build(tb testing.TB, dir string) *Function {
	tb.Helper()
	return Options{}.Build(tb, dir)
}

// Build is the function Build with options.
func (o Options) Build(tb testing.TB, dir string) *Function {
	tb.Helper()
	return &Function{o.start(tb, dir)}
}

// Upstream answers the function's outbound calls with h until the test ends. It
// returns the origin to grant in HTTPPrivate, and to tell the function in Env.
func Upstream(tb testing.TB, h http.HandlerFunc) (origin string) {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.URL
}

// Function is a function that is being served. Its methods may be called from
// several goroutines.
type Function struct{ host *host }

// URL returns the base URL of the function's routes, without a slash at the end.
func (f *Function) URL() string { return f.host.url }

// Get sends a GET request to path, which may have a query.
func (f *Function) Get(tb testing.TB, path string) *Result {
	tb.Helper()
	return f.send(tb, http.MethodGet, path, "", "")
}

// Post sends body to path as JSON.
func (f *Function) Post(tb testing.TB, path, body string) *Result {
	tb.Helper()
	return f.send(tb, http.MethodPost, path, "application/json", body)
}

// Slack sends a slash command, as typed ("/stats members"), to path in the form
// in which Slack would. Nothing is signed: the host checks signatures before a
// function sees the command, and here every command counts as checked.
func (f *Function) Slack(tb testing.TB, path, command string) *Result {
	tb.Helper()
	name, text, _ := strings.Cut(command, " ")
	form := url.Values{"command": {name}, "text": {text}, "team_id": {"T000"}, "channel_id": {"C000"}, "user_id": {"U000"},
		"trigger_id": {"0.0.guesttest"}, "response_url": {"https://hooks.slack.com/commands/T000/0/guesttest"}}
	return f.send(tb, http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode())
}

func (f *Function) send(tb testing.TB, method, path, contentType, body string) *Result {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, f.URL()+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return f.Do(tb, req)
}

// client follows no redirects: they are the function's answer.
var client = &http.Client{
	Timeout:       10 * time.Minute, // above every timeout a function may have for a test
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends any other request, whose URL begins with f.URL(). The test fails when
// there is no answer; every status is one.
func (f *Function) Do(tb testing.TB, req *http.Request) *Result {
	tb.Helper()
	res, err := client.Do(req)
	if err != nil {
		tb.Fatalf("%v\n%s", err, f.host.printed())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatalf("%s %s: read the answer: %v", req.Method, req.URL.Path, err)
	}
	return &Result{Status: res.StatusCode, Header: res.Header, Body: string(body), RequestID: res.Header.Get("X-Spore-Request-Id"), host: f.host}
}
