package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goslack "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"
)

const (
	signingSecret = "signing-secret-of-the-tests"
	apiToken      = "api-token-of-the-tests"
)

// statsHost is a host that serves the stats function, with a statistics service
// and a Slack of its own. What must be in no output is looked for at its end.
type statsHost struct {
	*testHost
	slack   *standIn
	api     string                           // the statistics service's URL
	service atomic.Pointer[http.HandlerFunc] // what the statistics service does

	mu         sync.Mutex
	answers    strings.Builder // all that came back, headers and bodies
	signatures map[string]bool // that were sent: whoever reads one can use it for five minutes
}

// startStats serves the stats function with env added to its environment.
func startStats(t *testing.T, env map[string]string) *statsHost {
	t.Helper()
	s := &statsHost{slack: startStandIn(t), signatures: map[string]bool{}}
	s.serviceSays(200, goodFigures)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.service.Load())(w, r) }))
	t.Cleanup(service.Close)
	s.api = service.URL
	vars := fmt.Sprintf("STATS_URL = %q, SLACK_RESPONSE_HOST = %q", service.URL, strings.TrimPrefix(s.slack.URL, "http://"))
	for name, value := range env {
		vars += fmt.Sprintf(", %s = %q", name, value)
	}
	grants := fmt.Sprintf("http_private = [%q, %q]\nenv = { %s }", service.URL, s.slack.URL, vars)
	dir := newDir(t, "[secrets]\nfile = \"secrets.toml\"\n"+fmt.Sprintf(statsRoute, grants))
	secrets := fmt.Sprintf("SLACK_SIGNING_SECRET = %q\nSTATS_API_TOKEN = %q\n", signingSecret, apiToken)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.toml"), []byte(secrets), 0o600))
	t.Cleanup(s.requireNothingTold)
	s.testHost = startHost(t, dir, time.Now)
	return s
}

const goodFigures = `{"data":{"members_count":1342,"invited_by_mentor_count":418,"latest_member":{"name":"Ada L.",` +
	`"joined_at":"2019-03-04T18:22:31.000000Z"}},"meta":{"generated_at":"2019-03-05T08:00:00.000000Z"}}`

const goodReply = "There are currently 1342 users on snowballproject.org.\n418 of these members were invited by a mentor.\n" +
	"The most recent member is Ada L. and they joined on *March 4th, 2019*."

// serviceDoes changes what the statistics service does from the next call on. A
// call without the token, or that a browser could have made, gets what Laravel
// would say.
func (s *statsHost) serviceDoes(do http.HandlerFunc) {
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != "GET" || r.URL.Path != "/api/stats/members":
			s.t.Errorf("the statistics service was asked for %s %s", r.Method, r.URL.Path)
		case r.Header.Get("Accept") != "application/json":
			http.Redirect(w, r, "/login", http.StatusFound)
		case r.Header.Get("Authorization") != "Bearer "+apiToken:
			http.Error(w, `{"message":"Unauthenticated."}`, http.StatusUnauthorized)
		default:
			do(w, r)
		}
	})
	s.service.Store(&guarded)
}

func (s *statsHost) serviceSays(status int, body string) {
	s.serviceDoes(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// never is a statistics service that never answers.
func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// say types "/stats text" into Slack, which hands out a response_url with it.
func (s *statsHost) say(text string) reply {
	s.t.Helper()
	return s.command(url.Values{"command": {"/stats"}, "text": {text}, "response_url": {s.slack.issue()}})
}

func (s *statsHost) command(form url.Values) reply {
	s.t.Helper()
	return s.signed(formType, form.Encode())
}

const formType = "application/x-www-form-urlencoded"

// signed sends body as Slack would.
func (s *statsHost) signed(contentType, body string) reply {
	s.t.Helper()
	req := s.request("POST", "/slack/stats", body)
	sign(req, signingSecret, body, time.Now())
	req.Header.Set("Content-Type", contentType)
	return s.do(req)
}

func (s *statsHost) do(req *http.Request) reply {
	s.t.Helper()
	got := s.testHost.do(req)
	s.keep(req.Header.Get("X-Slack-Signature"), got)
	return got
}

// raw sends the header lines as they are, on a connection of their own.
func (s *statsHost) raw(body, timestamp, signature string, lines ...string) reply {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	defer conn.Close()
	lines = append([]string{"POST /slack/stats HTTP/1.1", "Host: spore", "Connection: close", fmt.Sprintf("Content-Length: %d", len(body)),
		"X-Slack-Request-Timestamp: " + timestamp, "X-Slack-Signature: " + signature}, lines...)
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	require.NoError(s.t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	got := reply{res.StatusCode, res.Header, string(text)}
	s.keep(signature, got)
	return got
}

func (s *statsHost) keep(signature string, got reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signatures[strings.TrimPrefix(signature, "v0=")] = true
	fmt.Fprintln(&s.answers, got.status, got.header, got.body)
}

// why returns the log of one request, once it has ended.
func (s *statsHost) why(got reply) string {
	s.t.Helper()
	id := got.header.Get("X-Spore-Request-Id")
	s.logged("REPORT RequestId: "+id, 1)
	var lines strings.Builder
	for line := range strings.Lines(s.logs.String()) {
		if strings.Contains(line, id) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// requireNothingTold looks at everything the host said to anybody. It runs when the
// host has ended and its last log line is written.
func (s *statsHost) requireNothingTold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.testHost == nil {
		return
	}
	told := s.out.String() + s.logs.String() + s.answers.String() + s.slack.everything()
	for _, private := range []string{signingSecret, apiToken, "/commands/T1", "secret-part"} {
		for _, form := range forms(private) {
			if strings.Contains(told, form) {
				s.t.Errorf("%q is in the output as %q", private, form)
			}
		}
	}
	if strings.Contains(told, base64.StdEncoding.EncodeToString([]byte("v0="))) {
		s.t.Errorf("a signature is in the output, in base64")
	}
	for _, sum := range regexp.MustCompile(`[0-9a-fA-F]{64}`).FindAllString(told, -1) {
		if s.signatures[sum] {
			s.t.Errorf("the signature %s is in the output", sum)
		}
	}
}

// readMessage reads a message as Slack's client library does, and refuses fields
// that it does not know.
func readMessage(t testing.TB, body string) goslack.WebhookMessage {
	t.Helper()
	var m goslack.WebhookMessage
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&m), body)
	require.NotEmpty(t, m.Text)
	return m
}

// standIn is Slack's side of response_urls, as its documentation has it: JSON by
// POST, five times within thirty minutes.
type standIn struct {
	*httptest.Server
	t       testing.TB
	arrived chan goslack.WebhookMessage // accepted messages

	mu     sync.Mutex
	now    time.Time
	urls   map[string]*responseURL // by path
	bodies strings.Builder         // of all posts
}

type responseURL struct {
	issued time.Time
	uses   int
	faults []int // statuses for the first posts, instead of taking them
}

func startStandIn(t testing.TB) *standIn {
	t.Helper()
	s := &standIn{t: t, arrived: make(chan goslack.WebhookMessage, 16), now: time.Now(), urls: map[string]*responseURL{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// issue makes a response_url, whose first posts get the statuses of faults.
func (s *standIn) issue(faults ...int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := fmt.Sprintf("/commands/T1/%d/secret-part", len(s.urls))
	s.urls[path] = &responseURL{issued: s.now, faults: faults}
	return s.URL + path
}

func (s *standIn) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// uses is how often a response_url was posted to.
func (s *standIn) uses(issued string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urls[strings.TrimPrefix(issued, s.URL)].uses
}

func (s *standIn) everything() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies.String()
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	status, message := s.take(r, body)
	if status >= 300 && status < 400 {
		w.Header().Set("Location", s.URL+"/elsewhere")
	}
	w.WriteHeader(status)
	if status == http.StatusOK {
		s.arrived <- message
	}
}

func (s *standIn) take(r *http.Request, body []byte) (status int, message goslack.WebhookMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies.Write(body)
	u := s.urls[r.URL.Path]
	if u == nil {
		s.t.Errorf("%s %s was never handed out", r.Method, r.URL.Path)
		return http.StatusNotFound, message
	}
	u.uses++
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	switch {
	case r.Method != "POST":
		return http.StatusMethodNotAllowed, message
	case u.uses > 5 || s.now.Sub(u.issued) > 30*time.Minute:
		return http.StatusNotFound, message
	case len(u.faults) >= u.uses:
		return u.faults[u.uses-1], message
	case media != "application/json" || dec.Decode(&message) != nil || message.Text == "":
		return http.StatusBadRequest, message
	}
	return http.StatusOK, message
}

// TestTheStandInKeepsSlacksRules, because what it is for proves nothing otherwise.
func TestTheStandInKeepsSlacksRules(t *testing.T) {
	t.Parallel()
	s := startStandIn(t)
	post := func(url, contentType, body string) int {
		res, err := http.Post(url, contentType, strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	const message = `{"response_type":"ephemeral","text":"hi"}`
	often := s.issue()
	for range 5 {
		require.Equal(t, 200, post(often, "application/json", message))
		require.Equal(t, "hi", (<-s.arrived).Text)
	}
	require.Equal(t, 404, post(often, "application/json", message), "the sixth time")
	broken := s.issue()
	require.Equal(t, 400, post(broken, "text/plain", message))
	require.Equal(t, 400, post(broken, "application/json", `{"response_type":"ephemeral","txt":"hi"}`))
	old := s.issue()
	s.later(30 * time.Minute)
	require.Equal(t, 200, post(old, "application/json", message))
	s.later(time.Second)
	require.Equal(t, 404, post(old, "application/json", message))
}
