package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// announce is a request that promises the longest body and sends 3 bytes of it.
var announce = fmt.Sprintf("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nabc", abi.MaxBody)

// TestPromisedBodiesCostNothing: what a client says it will send takes no
// memory, what it sends does.
func TestPromisedBodiesCostNothing(t *testing.T) {
	const conns, each = 300, 64 << 10 // 16 KiB of it is fasthttp's buffer
	h := start(t, Options{Invoker: invoker(echo), Timeouts: Timeouts{Read: 500 * time.Millisecond}}, everything...)
	h.ask(t, request("POST", "/x", "abc"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	clients := make([]*client, conns)
	for i := range clients {
		clients[i] = h.dial(t).send(announce)
	}
	for _, c := range clients {
		require.Equal(t, 408, c.read("POST").status)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/conns, uint64(each), "bytes allocated for each connection, the client's included")
}

func chunked(path string, chunks ...string) string {
	text := "POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range chunks {
		text += fmt.Sprintf("%x\r\n%s\r\n", len(c), c)
	}
	return text + "0\r\n\r\n"
}

// awaitLeft waits until n bytes of the budget are left.
func (h *running) awaitLeft(t *testing.T, n int64) {
	t.Helper()
	for end := time.Now().Add(patience); h.bodies.left.Load() != n; runtime.Gosched() {
		require.True(t, time.Now().Before(end), "%d bytes are left, want %d", h.bodies.left.Load(), n)
	}
}

func TestBodiesOverTheBudgetAreRefused(t *testing.T) {
	const budget = 100_000
	h := start(t, Options{Invoker: invoker(echo), MaxBodyBytes: budget}, everything...)
	first := request("POST", "/", strings.Repeat("x", 60_000))
	holder := h.dial(t).send(first[:len(first)-10])
	h.awaitLeft(t, budget-60_000)
	body := strings.Repeat("x", 40_000)
	for name, text := range map[string]string{"of known length": request("POST", "/", body), "chunked": chunked("/", body)} {
		t.Run(name, func(t *testing.T) {
			c := h.dial(t).send(text)
			got := c.read("POST")
			require.Equal(t, 503, got.status)
			require.Equal(t, "overloaded", got.code(t))
			require.Equal(t, "1", got.header.Get("Retry-After"))
			require.True(t, got.close)
			c.requireClosed()
		})
	}
	require.Equal(t, 200, h.ask(t, request("GET", "/", "")).status, "what has no body goes on")
	require.Equal(t, 200, h.ask(t, request("POST", "/", "small")).status)
	require.Equal(t, 200, holder.send(first[len(first)-10:]).read("POST").status)
	h.awaitLeft(t, budget)
	require.Equal(t, 200, h.ask(t, request("POST", "/", body)).status)
}

// TestBudgetUnderLoad hammers the budget from many connections. All of it is
// back in the end, and no body got into another's buffer.
func TestBudgetUnderLoad(t *testing.T) {
	const budget = 1 << 20
	inv := func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		runtime.Gosched()
		reply(&abi.Result{Body: ev.Body}, false)
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv), MaxBodyBytes: budget}, everything...)
	var load sync.WaitGroup
	var served atomic.Int32
	for n := range 16 {
		load.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 0))
			for i := range 40 {
				body := strings.Repeat(string(rune('a'+n)), random.IntN(300_000))
				text := request("POST", "/", body)
				if i%2 == 0 {
					text = chunked("/", body, body[:len(body)/7+1])
					body += body[:len(body)/7+1]
				}
				switch got := h.ask(t, text); {
				case got.status == 200 && got.body == body:
					served.Add(1)
				case got.status != 503:
					t.Errorf("got status %d and %d bytes, want %d bytes", got.status, len(got.body), len(body))
				}
			}
		})
	}
	load.Wait()
	require.NotZero(t, served.Load())
	h.awaitLeft(t, budget)
}

func TestBodiesThatEndEarlyAreMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"of known length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
		"in a chunk":      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"between chunks":  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: failing(errors.New("not reached"))}, everything...)
			c := h.dial(t).send(text)
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			require.Equal(t, 400, c.read("POST").status)
			c.requireClosed()
		})
	}
}

func TestChunksOverTheLimit(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, everything...)
	mib := strings.Repeat("x", 1<<20)
	require.Equal(t, 200, h.ask(t, chunked("/", mib, mib, mib, mib, mib, mib)).status)
	got := h.ask(t, chunked("/", mib, mib, mib, mib, mib, mib, "x"))
	require.Equal(t, 413, got.status)
	require.Equal(t, "too_large", got.code(t))
}

// TestSlackBodiesOverTheLimitAreNotRead: the answer comes to the first byte of a
// body whose length is known, and after 64 KiB of another.
func TestSlackBodiesOverTheLimitAreNotRead(t *testing.T) {
	h := startSlack(t)
	for _, text := range []string{
		fmt.Sprintf("POST /slack HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nx", slackMaxBody+1),
		strings.TrimSuffix(chunked("/slack", strings.Repeat("x", slackMaxBody+1)), "0\r\n\r\n"),
	} {
		c := h.dial(t).send(text)
		got := c.read("POST")
		require.Equal(t, 413, got.status)
		require.Equal(t, "too_large", got.code(t))
		require.True(t, got.close)
		c.requireClosed()
	}
}

// TestUnreadBodiesAreNoRequests: the connection goes on behind a short body that
// nobody wanted, and ends at a long one.
func TestUnreadBodiesAreNoRequests(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, bind("GET", "/x", "f"))
	hidden := request("GET", "/x", "")
	for _, text := range []string{request("POST", "/nowhere", hidden), chunked("/nowhere", hidden), request("POST", "/x", hidden), request("GET", "/healthz", hidden)} {
		c := h.dial(t).send(text + request("GET", "/healthz", ""))
		require.NotContains(t, c.read("POST").body, "f GET")
		require.Equal(t, "ok", c.read("GET").body)
	}
	c := h.dial(t).send(request("POST", "/nowhere", strings.Repeat(hidden, 10_000)))
	require.True(t, c.read("POST").close)
	c.requireClosed()
}

// TestLongBodiesAreChores moves long bodies while a client that has stopped in the
// middle of one waits: it has no chore that others would have to wait for.
func TestLongBodiesAreChores(t *testing.T) {
	var one sync.Mutex
	var chores atomic.Int32
	chore := func(work func()) {
		one.Lock()
		defer one.Unlock()
		chores.Add(1)
		work()
	}
	inv := func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		reply(&abi.Result{Body: bytes.Clone(ev.Body)}, false)
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv), Chore: chore, MaxBodyBytes: 32 << 20}, everything...)
	first := strings.Repeat("a", abi.MaxBody)
	slow := request("POST", "/", first)
	c := h.dial(t).send(slow[:len(slow)-1000])
	require.Eventually(t, func() bool { return chores.Load() > abi.MaxBody/longPiece/2 }, patience, time.Millisecond)

	second := strings.Repeat("b", abi.MaxBody)
	before := chores.Load()
	got := h.ask(t, request("POST", "/", second))
	require.True(t, got.body == second)
	require.Greater(t, chores.Load()-before, int32(abi.MaxBody/longPiece), "there and back")
	got = h.ask(t, chunked("/", second[:1<<20], second[:2<<20]))
	require.True(t, got.body == second[:3<<20])
	before = chores.Load()
	got = h.ask(t, chunked("/", slices.Repeat([]string{second[:1000]}, 3000)...))
	require.True(t, got.body == second[:3_000_000])
	require.Greater(t, chores.Load()-before, int32(3_000_000/headerBytes/2), "though in short chunks")
	before = chores.Load()
	require.Equal(t, "short", h.ask(t, request("POST", "/", "short")).body)
	require.Equal(t, before, chores.Load())

	got = c.send(slow[len(slow)-1000:]).read("POST")
	require.True(t, got.body == first)
	h.awaitLeft(t, 32<<20)
}

// TestRefusedBodiesAreDroppedByChores: who is refused may send for a second all that
// the wire takes.
func TestRefusedBodiesAreDroppedByChores(t *testing.T) {
	var chores atomic.Int32
	chore := func(work func()) {
		chores.Add(1)
		work()
	}
	h := start(t, Options{Invoker: invoker(echo), Chore: chore}, everything...)
	c := h.dial(t).send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
	require.Equal(t, 413, c.read("POST").status)
	before := chores.Load()
	c.send(strings.Repeat("a", 1<<20))
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	c.requireClosed()
	h.awaitClosed(t)
	require.Greater(t, chores.Load()-before, int32(1<<20/longPiece))
}

// awaitClosed waits until all connections are gone.
func (h *running) awaitClosed(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.conns.mu.Lock()
		defer h.conns.mu.Unlock()
		return len(h.conns.open) == 0
	}, patience, time.Millisecond)
}

// TestShutdownWaitsForABody: a request whose body is on its way is under way.
func TestShutdownWaitsForABody(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo), MaxBodyBytes: 1 << 20, Drain: patience}, everything...)
	c := h.dial(t).send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
	h.awaitLeft(t, 1<<20-firstBody)
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	requireRefused(t, h.addr)
	got := c.send("cde").read("POST")
	require.Equal(t, 200, got.status)
	require.True(t, got.close)
	require.NoError(t, await(t, stopped))
}

// BenchmarkSmallBody is BenchmarkRequest with a body of 1000 bytes.
func BenchmarkSmallBody(b *testing.B) {
	h := start(b, Options{Invoker: answering(abi.Result{ContentType: "text/plain", Body: []byte("hello, world!")})}, bind("POST", "/a/{name}", "f"))
	c := h.dial(b)
	require.NoError(b, c.SetDeadline(time.Time{}))
	text := []byte(request("POST", "/a/x?q=1", string(make([]byte, 1000)), "User-Agent: bench", "Accept: */*"))
	answer := make([]byte, len(c.firstAnswer(text)))
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
