package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"spore/abi"
	"spore/host/function"
)

func TestConnectionsAreKept(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, everything...)
	c := h.dial(t)
	for i := range 100 {
		path := fmt.Sprintf("/%d", i)
		require.Equal(t, "f GET "+path+"? rest="+path[1:], c.send(request("GET", path, "")).read("GET").body)
	}
	got := c.send(request("GET", "/last", "", "Connection: close")).read("GET")
	require.True(t, got.close)
	c.requireClosed()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	const n = 10_000
	h := start(t, Options{Invoker: invoker(echo)}, everything...)
	c := h.dial(t)
	sent := make(chan error, 1)
	go func() {
		var all bytes.Buffer
		for i := range n {
			all.WriteString(request("POST", "/"+strconv.Itoa(i), strings.Repeat("x", i%300)))
		}
		_, err := c.Write(all.Bytes())
		sent <- errors.Join(err, c.Conn.(*net.TCPConn).CloseWrite())
	}()
	for i := range n {
		got := c.read("POST")
		require.Equal(t, "f POST /"+strconv.Itoa(i)+"? rest="+strconv.Itoa(i), got.body)
		require.Equal(t, strconv.Itoa(i%300), got.header.Get("x-body"))
	}
	require.NoError(t, await(t, sent))
	c.requireClosed()
}

// TestClientHasItsAnswerWhileTheFunctionGoesOn also shows that the connection
// takes its next request meanwhile, with another event.
func TestClientHasItsAnswerWhileTheFunctionGoesOn(t *testing.T) {
	goOn, ended := make(chan struct{}), make(chan string, 2)
	var mu sync.Mutex
	events := map[*abi.Event]bool{}
	inv := func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		mu.Lock()
		events[ev] = true
		mu.Unlock()
		path := strings.Clone(ev.Path)
		reply(&abi.Result{Body: []byte(path)}, true)
		<-goOn
		ended <- path
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, everything...)
	c := h.dial(t)
	require.Equal(t, "/1", c.send(request("GET", "/1", "")).read("GET").body)
	require.Equal(t, "/2", c.send(request("GET", "/2", "")).read("GET").body)
	require.Empty(t, ended)
	close(goOn)
	require.ElementsMatch(t, []string{"/1", "/2"}, []string{await(t, ended), await(t, ended)})
	require.Len(t, events, 2, "an event was given to a second request while its function went on")
}

// TestShutdownDrains: what runs when the server is told to stop gets done, a
// function that works on after its answer included.
func TestShutdownDrains(t *testing.T) {
	entered, stopping, goOn := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
	var finished atomic.Int32
	inv := func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
		early := ev.Path == "/early"
		if early {
			reply(&abi.Result{}, true)
		}
		entered <- struct{}{}
		<-goOn
		if ctx.Err() != nil {
			return ctx.Err()
		}
		finished.Add(1)
		if early {
			return nil
		}
		return echo(ctx, ref, ev, reply)
	}
	h := start(t, Options{Invoker: invoker(inv), Drain: patience}, everything...)
	early, late := h.dial(t), h.dial(t)
	early.send(request("GET", "/early", "")).read("GET")
	late.send(request("GET", "/late", ""))
	await(t, entered)
	await(t, entered)
	stopped := make(chan error, 1)
	go func() {
		close(stopping)
		stopped <- h.stop()
	}()
	await(t, stopping)
	requireRefused(t, h.addr)
	require.Empty(t, stopped)
	close(goOn)
	got := late.read("GET")
	require.Equal(t, "f GET /late? rest=late", got.body)
	require.True(t, got.close, "the client is told that the connection ends")
	require.NoError(t, await(t, stopped))
	require.Equal(t, int32(2), finished.Load())
	requireNothingRuns(t)
}

// TestShutdownWaitsForABodyThatWasAskedFor: the client was told to send it.
func TestShutdownWaitsForABodyThatWasAskedFor(t *testing.T) {
	for framing, body := range map[string]string{
		"Content-Length: 5":          "hello",
		"Transfer-Encoding: chunked": "5\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run(framing, func(t *testing.T) {
			h := start(t, Options{Invoker: invoker(echo), Drain: patience}, everything...)
			c := h.dial(t).send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" + framing + "\r\n\r\n")
			require.Equal(t, 100, c.read("POST").status)
			stopped := make(chan error, 1)
			go func() { stopped <- h.stop() }()
			requireRefused(t, h.addr)
			got := c.send(body).read("POST")
			require.Equal(t, "5", got.header.Get("X-Body"))
			require.NoError(t, await(t, stopped))
		})
	}
}

// TestABodyThatNobodyReadsEndsWithItsRequest: a shutdown waits for no header behind it.
func TestABodyThatNobodyReadsEndsWithItsRequest(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo), Drain: 3 * time.Second}, everything...)
	c := h.dial(t).send("GET /healthz HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	require.Equal(t, 100, c.read("GET").status)
	require.Equal(t, "ok", c.send("hello"+"GET /x HTTP/1.1\r\nHo").read("GET").body)
	require.NoError(t, h.stop())
	require.NotContains(t, h.log.String(), "did not finish in time")
	c.requireClosed()
}

// requireRefused waits until nobody listens at addr any more.
func requireRefused(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
		runtime.Gosched()
	}
	require.Fail(t, "the listener is still open")
}

// TestShutdownEndsWhatOutlastsTheDrain: functions see their context end, slow
// connections are closed, no goroutine is left.
func TestShutdownEndsWhatOutlastsTheDrain(t *testing.T) {
	entered := make(chan struct{}, 2)
	inv := func(ctx context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		if ev.Path == "/early" {
			reply(&abi.Result{}, true)
		}
		entered <- struct{}{}
		<-ctx.Done()
		return &function.Error{Kind: abi.Deadline, Op: "run f", Err: ctx.Err()}
	}
	h := start(t, Options{Invoker: invoker(inv), Drain: 50 * time.Millisecond}, everything...)
	h.dial(t).send(request("GET", "/early", "")).read("GET")
	h.dial(t).send(request("GET", "/late", ""))
	h.dial(t).send("GET /never-complete HTTP/1.1\r\n")
	await(t, entered)
	await(t, entered)
	require.NoError(t, h.stop())
	require.Contains(t, h.log.String(), "did not finish in time")
	requireNothingRuns(t)
}

// TestShutdownDoesNotWaitForSilentClients: the drain is for requests, not for
// connections without one.
func TestShutdownDoesNotWaitForSilentClients(t *testing.T) {
	for name, sent := range map[string]string{
		"unused":                    "",
		"half a request line":       "GET /x HT",
		"half a header":             "GET /x HTTP/1.1\r\nHost: h\r\n",
		"between requests":          request("GET", "/x", ""),
		"half of the second header": request("GET", "/x", "") + "GET /x HTTP/1.1\r\nHo",
		"a body that nobody wants":  "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: invoker(echo), Drain: 3 * time.Second}, bind("GET", "/x", "f"))
			h.ask(t, request("GET", "/x", ""))
			c := h.dial(t).send(sent)
			if method, _, whole := strings.Cut(sent, "\r\n\r\n"); whole {
				c.read(method)
			}
			require.NoError(t, h.stop())
			require.NotContains(t, h.log.String(), "did not finish in time")
			c.requireClosed()
			requireNothingRuns(t)
		})
	}
}

// TestNoRequestIsLostBetweenTheDrainAndItsHandler stops the server under load:
// whatever reached the function is answered.
func TestNoRequestIsLostBetweenTheDrainAndItsHandler(t *testing.T) {
	for range 20 {
		var served atomic.Int32
		inv := func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
			served.Add(1)
			return echo(ctx, ref, ev, reply)
		}
		h := start(t, Options{Invoker: invoker(inv)}, everything...)
		var answered atomic.Int32
		var load sync.WaitGroup
		for range 8 {
			c := h.dial(t)
			load.Go(func() {
				for {
					if _, err := io.WriteString(c, request("POST", "/x", "body")); err != nil {
						return
					}
					res, err := http.ReadResponse(c.r, nil)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					answered.Add(1)
				}
			})
		}
		for served.Load() < 100 {
			runtime.Gosched()
		}
		require.NoError(t, h.stop())
		load.Wait()
		require.Equal(t, served.Load(), answered.Load())
	}
}

// TestTheLastResortDoesNotLinger: connections that may wait for their clients
// are closed at once when the drain is over.
func TestTheLastResortDoesNotLinger(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := New(Options{})
	for range 4 {
		client, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer client.Close()
		accepted, err := ln.Accept()
		require.NoError(t, err)
		c := &conn{Conn: accepted}
		c.linger.Store(true)
		s.conns.changed(c, fasthttp.StateNew)
	}
	began := time.Now()
	s.conns.closeAll()
	require.Less(t, time.Since(began), lingerTime)
}

// requireNothingRuns waits until the goroutines of workers and connections, which
// are done, are gone too.
func requireNothingRuns(t *testing.T) {
	t.Helper()
	buf := make([]byte, 1<<20)
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "web.(*workers).") && !strings.Contains(stacks, "fasthttp.(*workerPool).workerFunc") {
			return
		}
		require.True(t, time.Now().Before(end), "goroutines are left: %s", stacks)
	}
}

func TestServeIsOverBeforeItBegan(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, New(Options{}).Serve(ctx, ln))
	requireRefused(t, ln.Addr().String())
}

// brokenListener fails with each error in turn, and then for good.
type brokenListener struct {
	net.Listener
	errs []error
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: err}
}

func TestServeOutlastsWantOfDescriptors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- New(Options{}).Serve(ctx, &brokenListener{ln, []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}})
	}()
	res, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, await(t, served))
}

func TestServeSaysWhyItsListenerFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = New(Options{}).Serve(t.Context(), &brokenListener{ln, []error{syscall.EINVAL}})
	require.ErrorIs(t, err, syscall.EINVAL)
	require.ErrorContains(t, err, "accept connections on "+ln.Addr().String())
}

func TestConnectionsAreBounded(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo), MaxConns: 1}, everything...)
	first := h.dial(t)
	require.Equal(t, 200, first.send(request("GET", "/", "")).read("GET").status)
	second := h.dial(t).read("GET")
	require.Equal(t, 503, second.status)
	require.Empty(t, second.header.Get("Server"))
	require.Equal(t, 200, first.send(request("GET", "/", "")).read("GET").status)
}

// TestBodiesThatNobodyWantsAreNotAskedFor: a client that waits for leave to send its
// body is told no at once, and the host reads none of it.
func TestBodiesThatNobodyWantsAreNotAskedFor(t *testing.T) {
	signed := bind("POST", "/slack", "f")
	signed.SlackSecret = "SIGNING"
	h := start(t, Options{Invoker: invoker(echo)}, bind("POST", "/x", "f"), signed)
	expect := func(path string, length int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path, length)
	}
	for name, test := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"over the limit": {expect("/x", abi.MaxBody+1), 413, "too_large"},
		"over Slack's":   {expect("/slack", slackMaxBody+1), 413, "too_large"},
		"no route":       {expect("/y", 5), 404, "not_found"},
		"no such method": {expect("/healthz", 5), 405, "method_not_allowed"},
		"an odd path":    {expect("/a/../x", 5), 400, "invalid"},
		"chunked":        {strings.Replace(expect("/y", 5), "Content-Length: 5", "Transfer-Encoding: chunked", 1), 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.dial(t).send(test.request)
			got := c.read("POST")
			require.Equal(t, test.status, got.status)
			require.Equal(t, test.code, got.code(t))
			require.True(t, got.close)
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			c.requireClosed()
		})
	}
	c := h.dial(t).send(expect("/x", 5))
	require.Equal(t, 100, c.read("POST").status)
	got := c.send("hello").read("POST")
	require.Equal(t, 200, got.status)
	require.Equal(t, "5", got.header.Get("X-Body"))
	require.NotEmpty(t, got.header.Get(requestIDHeader))
	require.False(t, got.close)
	require.Equal(t, 404, c.send(request("GET", "/y", "")).read("GET").status)
}

// TestRefusedUploadIsToldWhy: a client that sends all of its body gets to read
// the answer, which a reset connection would take from it.
func TestRefusedUploadIsToldWhy(t *testing.T) {
	signed := bind("POST", "/slack", "f")
	signed.SlackSecret = "SIGNING"
	h := start(t, Options{Invoker: invoker(echo)}, bind("POST", "/x", "f"), signed)
	client := &http.Client{Timeout: patience}
	for range 10 {
		for _, upload := range []struct {
			path         string
			size, status int
		}{{"/x", abi.MaxBody + 1, 413}, {"/slack", slackMaxBody + 1, 413}, {"/slack", abi.MaxBody, 413}, {"/nowhere", abi.MaxBody, 404}} {
			res, err := client.Post("http://"+h.addr+upload.path, "text/plain", bytes.NewReader(make([]byte, upload.size)))
			require.NoError(t, err)
			require.Equal(t, upload.status, res.StatusCode)
			require.NoError(t, res.Body.Close())
		}
	}
}

// TestWorkersUnderLoad hammers the hand-over from connections to workers, with
// functions that end before, at and after their answers.
func TestWorkersUnderLoad(t *testing.T) {
	var running, served atomic.Int32
	inv := func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
		running.Add(1)
		defer running.Add(-1)
		mode := ev.RawQuery
		switch mode {
		case "fail":
			return &function.Error{Kind: abi.NoAnswer}
		case "after":
			defer runtime.Gosched()
		}
		served.Add(1)
		return echo(ctx, ref, ev, reply)
	}
	h := start(t, Options{Invoker: invoker(inv)}, everything...)
	const conns, each = 32, 100
	modes := []string{"", "after", "fail"}
	var load sync.WaitGroup
	for n := range conns {
		c := h.dial(t)
		load.Go(func() {
			for i := range each {
				mode := modes[(n+i)%3]
				want := map[bool]int{true: 502, false: 200}[mode == "fail"]
				if got := c.send(request("GET", "/x?"+mode, "")).read("GET"); got.status != want {
					t.Errorf("%s: got %d", mode, got.status)
				}
			}
		})
	}
	load.Wait()
	require.NoError(t, h.stop())
	require.Zero(t, running.Load(), "Serve returned before a function had ended")
	require.InDelta(t, conns*each*2/3, int(served.Load()), conns)
}

// block returns calls that run until release.
func block(n int) (calls []*call, release func()) {
	goOn := make(chan struct{})
	s := New(Options{Invoker: invoker(func(context.Context, function.Ref, *abi.Event, function.Reply) error {
		<-goOn
		return nil
	}), Log: slog.New(slog.DiscardHandler)})
	for range n {
		c := newCall(s)
		c.holders.Store(2)
		c.ctx, c.route = new(fasthttp.RequestCtx), &route{}
		calls = append(calls, c)
	}
	return calls, func() { close(goOn) }
}

func TestStopWaitsForWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release := block(1)
		w := newWorkers()
		require.True(t, w.do(calls[0]))
		var stopped atomic.Bool
		go func() { stopped.Store(w.stop(t.Context())) }()
		synctest.Wait()
		require.False(t, stopped.Load())
		require.False(t, w.do(nil), "there is no work after stop")
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, w.stop(impatient))
		release()
		synctest.Wait()
		require.True(t, stopped.Load())
	})
}

func TestIdleWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release := block(maxIdleWorkers + 50)
		w := newWorkers()
		for _, c := range calls {
			require.True(t, w.do(c))
		}
		release()
		synctest.Wait()
		require.Equal(t, int32(maxIdleWorkers), w.idle.Load())
		again, release := block(1)
		require.True(t, w.do(again[0]))
		synctest.Wait()
		require.Equal(t, int32(maxIdleWorkers-1), w.idle.Load(), "an idle one took it")
		release()
		require.True(t, w.stop(t.Context()))
	})
}

// BenchmarkRequest is one connection, one request after the other, and a
// function that does nothing.
func BenchmarkRequest(b *testing.B) {
	h := start(b, Options{Invoker: answering(abi.Result{ContentType: "text/plain", Body: []byte("hello, world!")})}, bind("GET", "/a/{name}", "f"))
	c := h.dial(b)
	require.NoError(b, c.SetDeadline(time.Time{}))
	text := []byte(request("GET", "/a/x?q=1", "", "User-Agent: bench", "Accept: */*"))
	size := len(c.firstAnswer(text))
	answer := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(text); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// firstAnswer returns the bytes of one answer; those of the same route have the
// same length.
func (c *client) firstAnswer(request []byte) []byte {
	c.send(string(request))
	_, err := c.r.Peek(1)
	require.NoError(c.tb, err)
	buf := make([]byte, c.r.Buffered())
	_, err = io.ReadFull(c.r, buf)
	require.NoError(c.tb, err)
	return buf
}
