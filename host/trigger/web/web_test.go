package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// patience bounds every wait of these tests. None of them ever takes that long
// unless it fails.
const patience = 20 * time.Second

type invoker func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error

func (f invoker) Invoke(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) (function.Stats, error) {
	return function.Stats{}, f(ctx, ref, ev, reply)
}

// answering returns an Invoker that always gives the same answer.
func answering(res abi.Result) invoker {
	return func(_ context.Context, _ function.Ref, _ *abi.Event, reply function.Reply) error {
		reply(&res, false)
		return nil
	}
}

// failing returns an Invoker that never answers.
func failing(err error) invoker {
	return func(context.Context, function.Ref, *abi.Event, function.Reply) error { return err }
}

// echo answers with what the event said, as a Go function would read it.
func echo(_ context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
	text := ref.Name + " " + ev.Method + " " + ev.Path + "?" + ev.RawQuery
	for _, p := range ev.Params {
		text += " " + p.Name + "=" + p.Value
	}
	reply(&abi.Result{Headers: abi.Pairs{{Name: "x-body", Value: strconv.Itoa(len(ev.Body))}}, Body: []byte(text)}, false)
	return nil
}

func bind(method, path, name string) Binding {
	return Binding{Route: function.Route{Method: method, Path: path}, Function: name}
}

// everything routes all GET and POST requests to one function.
var everything = []Binding{bind("GET", "/{rest:*}", "f"), bind("POST", "/{rest:*}", "f")}

// running is a Server under test.
type running struct {
	*Server
	addr string
	log  *logBuffer
	stop func() error // ends Serve and returns its result
}

func start(tb testing.TB, opt Options, bindings ...Binding) *running {
	tb.Helper()
	log := &logBuffer{}
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	s := New(opt)
	require.NoError(tb, s.SetRoutes(bindings))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	tb.Cleanup(func() { require.NoError(tb, stop()) })
	return &running{s, ln.Addr().String(), log, stop}
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// client is one connection.
type client struct {
	net.Conn
	tb testing.TB
	r  *bufio.Reader
}

func (h *running) dial(tb testing.TB) *client {
	tb.Helper()
	c, err := net.Dial("tcp", h.addr)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	require.NoError(tb, c.SetDeadline(time.Now().Add(patience)))
	return &client{c, tb, bufio.NewReader(c)}
}

func (c *client) send(text string) *client {
	c.tb.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.tb, err)
	return c
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool
}

func (c *client) read(method string) answer {
	c.tb.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	require.NoError(c.tb, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(c.tb, err)
	return answer{res.StatusCode, res.Header, string(body), res.Close}
}

// requireClosed fails when the host sends anything more.
func (c *client) requireClosed() {
	c.tb.Helper()
	rest, err := io.ReadAll(c.r)
	if err == nil {
		require.Empty(c.tb, string(rest))
	}
	var timeout net.Error
	require.False(c.tb, errors.As(err, &timeout) && timeout.Timeout(), "the connection stays open")
}

// ask sends one request on a connection of its own.
func (h *running) ask(tb testing.TB, text string) answer {
	tb.Helper()
	method, _, _ := strings.Cut(text, " ")
	return h.dial(tb).send(text).read(method)
}

// request builds a request with a length.
func request(method, target, body string, headers ...string) string {
	text := method + " " + target + " HTTP/1.1\r\nHost: h\r\n"
	for _, line := range headers {
		text += line + "\r\n"
	}
	if body != "" {
		text += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return text + "\r\n" + body
}

// code returns the public code of an error's body, and checks the body's form.
func (a answer) code(tb testing.TB) string {
	tb.Helper()
	var body struct {
		Error struct {
			Code      string
			Message   string
			RequestID string `json:"request_id"`
		}
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	require.NoError(tb, d.Decode(&body), a.body)
	require.NotEmpty(tb, body.Error.Message)
	require.Equal(tb, "application/json", a.header.Get("Content-Type"))
	require.NotEmpty(tb, body.Error.RequestID)
	require.Equal(tb, a.header.Get(requestIDHeader), body.Error.RequestID)
	return body.Error.Code
}

// await waits for ch, and fails the test when nothing comes.
func await[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(tb, "nothing happened")
		panic("unreachable")
	}
}
