package capability

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

func TestAnswerIsHandedOverAsItCame(t *testing.T) {
	f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Header()["X-Twice"] = []string{"b", "a"}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(sent))
	}))
	head, body := f.Do(within10s(t), &abi.HTTPRequest{Method: "PATCH", URL: url + "/a%2Fb?q=1", Body: []byte("in")})
	defer body.Close()
	require.Equal(t, abi.None, head.Kind)
	require.Empty(t, head.Message)
	require.EqualValues(t, http.StatusTeapot, head.Status)
	var twice []string
	for _, p := range head.Headers {
		require.Equal(t, strings.ToLower(p.Name), p.Name)
		if p.Name == "x-twice" {
			twice = append(twice, p.Value)
		}
	}
	require.Equal(t, []string{"b", "a"}, twice)
	require.True(t, slices.IsSortedFunc(head.Headers, func(a, b abi.Pair) int { return strings.Compare(a.Name, b.Name) }))
	text, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "PATCH /a%2Fb?q=1 in", string(text))
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, location := range []string{"/loop", "http://127.0.0.1:9/", "file:///etc/passwd", "//example.com/"} {
		t.Run(location, func(t *testing.T) {
			asked := 0
			f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}))
			head, _, err := get(t, f, url+"/loop")
			require.NoError(t, err)
			require.EqualValues(t, http.StatusTemporaryRedirect, head.Status)
			require.Equal(t, location, head.Headers.Get("location"))
			require.Equal(t, 1, asked)
		})
	}
}

// wire makes a call and returns its request line and header lines as they
// arrived, split by hand.
func wire(t *testing.T, req abi.HTTPRequest) (abi.HTTPHead, []string) {
	t.Helper()
	var lines []string
	f, url := raw(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if err != nil || line == "\r\n" {
				break
			}
			lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		}
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	req.URL = url + "/p"
	head, body := f.Do(within10s(t), &req)
	body.Close()
	return head, lines
}

func TestHeadersOfTheHostAreDropped(t *testing.T) {
	head, lines := wire(t, abi.HTTPRequest{Headers: abi.Pairs{
		{Name: "Host", Value: "evil.test"},
		{Name: "host", Value: "evil.test"},
		{Name: "Content-Length", Value: "7"},
		{Name: "TRANSFER-ENCODING", Value: "chunked"},
		{Name: "Connection", Value: "x-mine, close"},
		{Name: "Keep-Alive", Value: "timeout=9"},
		{Name: "Proxy-Authorization", Value: "Basic x"},
		{Name: "proxy-connection", Value: "keep-alive"},
		{Name: "Proxy-Anything", Value: "x"},
		{Name: "TE", Value: "trailers"},
		{Name: "Trailer", Value: "x-mine"},
		{Name: "Upgrade", Value: "websocket"},
		{Name: "Expect", Value: "100-continue"},
		{Name: "HTTP2-Settings", Value: "x"},
		{Name: "User-Agent", Value: ""},
		{Name: "x-mine", Value: "1"},
		{Name: "X-Mine", Value: "\t2 \xe9"},
		{Name: "Authorization", Value: "Bearer x"},
		{Name: "Cookie", Value: "a=b"},
	}})
	require.Equal(t, abi.None, head.Kind, head.Message)
	require.Equal(t, "GET /p HTTP/1.1", lines[0])
	require.True(t, strings.HasPrefix(lines[1], "Host: 127.0.0.1:"), lines[1])
	require.ElementsMatch(t, []string{
		"User-Agent: spore", "X-Mine: 1", "X-Mine: 2 \xe9", "Authorization: Bearer x", "Cookie: a=b",
	}, lines[2:])
}

func TestUserAgentIsTheOperators(t *testing.T) {
	var got []string
	f, url := local(t, HTTPOptions{UserAgent: "us contact@example.org"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header["User-Agent"]
	}))
	_, body := f.Do(within10s(t), &abi.HTTPRequest{URL: url, Headers: abi.Pairs{{Name: "user-agent", Value: "theirs"}}})
	body.Close()
	require.Equal(t, []string{"us contact@example.org"}, got)
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, method string
		header       abi.Pair
	}{
		{"a line end in a value", "", abi.Pair{Name: "x", Value: "a\r\nHost: evil"}},
		{"a bare line feed in a value", "", abi.Pair{Name: "x", Value: "a\nb"}},
		{"a bare carriage return in a value", "", abi.Pair{Name: "x", Value: "a\rb"}},
		{"a NUL in a value", "", abi.Pair{Name: "x", Value: "a\x00b"}},
		{"a delete character in a value", "", abi.Pair{Name: "x", Value: "a\x7fb"}},
		{"a line end in the value of a dropped header", "", abi.Pair{Name: "host", Value: "a\r\nb"}},
		{"a line end in a name", "", abi.Pair{Name: "x\r\nHost", Value: "evil"}},
		{"a colon in a name", "", abi.Pair{Name: "x:y", Value: "z"}},
		{"a pseudo header", "", abi.Pair{Name: ":authority", Value: "evil"}},
		{"a space in a name", "", abi.Pair{Name: "host ", Value: "evil"}},
		{"an empty name", "", abi.Pair{Value: "x"}},
		{"a name that is not ASCII", "", abi.Pair{Name: "\u212aeep-alive", Value: "x"}}, // the Kelvin sign folds to k
		{"a space in the method", "GET / HTTP/1.1\r\nX: ", abi.Pair{Name: "x"}},
		{"a method that opens a tunnel", "CONNECT", abi.Pair{Name: "x"}},
		{"a method that echoes", "TRACE", abi.Pair{Name: "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			head, lines := wire(t, abi.HTTPRequest{Method: test.method, Headers: abi.Pairs{{Name: "ok", Value: "1"}, test.header}})
			require.Equal(t, abi.Invalid, head.Kind, head.Message)
			require.NotContains(t, head.Message, "\n")
			require.Empty(t, lines)
		})
	}
}

// FuzzRequestHeader holds that whatever is let through stays one header line.
func FuzzRequestHeader(f *testing.F) {
	f.Add("X-Mine", "value")
	f.Add("x\r\nHost", "evil")
	f.Add("x", "a\r\nHost: evil")
	f.Add("transfer-encoding", "chunked")
	f.Fuzz(func(t *testing.T, name, value string) {
		h, err := requestHeader(abi.Pairs{{Name: name, Value: value}}, "spore")
		if err != nil {
			require.Equal(t, abi.Invalid, function.KindOf(err))
			return
		}
		req, err := http.NewRequest(http.MethodGet, "http://example.com/", nil)
		require.NoError(t, err)
		req.Header = h
		var sent bytes.Buffer
		require.NoError(t, req.Write(&sent))
		lines := strings.Split(strings.TrimSuffix(sent.String(), "\r\n\r\n"), "\r\n")
		require.Equal(t, "GET / HTTP/1.1", lines[0])
		require.Equal(t, "Host: example.com", lines[1])
		require.Equal(t, "User-Agent: spore", lines[2])
		want := 4
		if hostsHeader(strings.ToLower(name)) {
			want = 3
		}
		require.Len(t, lines, want)
		require.Equal(t, want+1, strings.Count(sent.String(), "\n"))
		if want == 4 {
			gotName, gotValue, _ := strings.Cut(lines[3], ": ")
			require.True(t, strings.EqualFold(name, gotName))
			require.Equal(t, strings.Trim(value, " \t"), gotValue)
		}
	})
}

func TestRefusalsTellTheAuthor(t *testing.T) {
	f := NewHTTP(HTTPOptions{}).For(function.Spec{Name: "stats"})
	head, body := f.Do(t.Context(), &abi.HTTPRequest{URL: "https://x.test/secret?token=secret"})
	require.NoError(t, body.Close())
	require.Equal(t, abi.HTTPHead{
		Kind:    abi.Denied,
		Message: "http_start https://x.test/: origin is not granted; add it to http of function stats in functions.toml",
	}, head)

	head, _ = f.Do(t.Context(), &abi.HTTPRequest{URL: "https://x.test/%zz?token=secret"})
	require.Equal(t, abi.HTTPHead{Kind: abi.Invalid, Message: "http_start: the URL cannot be parsed"}, head)
}

func TestGrantIsExact(t *testing.T) {
	f := NewHTTP(HTTPOptions{}).For(public(t, "https://api.example.org"))
	for _, url := range []string{
		"http://api.example.org/", "https://api.example.org:8443/", "https://example.org/", "https://a.api.example.org/",
		"https://api.example.org.test/", "https://api-example.org/", "http://api.example.org:443/",
	} {
		t.Run(url, func(t *testing.T) {
			head, _ := f.Do(t.Context(), &abi.HTTPRequest{URL: url})
			require.Equal(t, abi.Denied, head.Kind)
		})
	}
}

func TestTLSAndHTTP2(t *testing.T) {
	net := newInternet()
	net.host("api.test", "8.8.8.8")
	net.host("other.test", "8.8.8.8")
	pool := net.serveTLS(t, "8.8.8.8:443", "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Set("X-Host", r.Host)
	}))
	h := net.http(t, HTTPOptions{})
	h.public.tls.RootCAs = pool
	f := h.For(public(t, "https://api.test", "https://other.test"))

	head, _, err := get(t, f, "https://api.test:443/")
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", head.Headers.Get("x-proto"), head.Message)
	require.Equal(t, "api.test", head.Headers.Get("x-host"))

	head, _, _ = get(t, f, "https://other.test/")
	require.Equal(t, abi.Unavailable, head.Kind)
	require.Contains(t, head.Message, "certificate")
}

// TestHowFarAheadAnHTTP2UpstreamSends reads it in the settings that begin a connection: what
// nobody has read yet is in the host's memory, of as many calls as may be open.
func TestHowFarAheadAnHTTP2UpstreamSends(t *testing.T) {
	cert, trusted := certificate(t, "api.test")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	net := newInternet()
	net.host("api.test", "8.8.8.8")
	net.listeners["8.8.8.8:443"] = l.Addr().String()
	h := net.http(t, HTTPOptions{})
	h.public.tls.RootCAs = trusted
	ctx, cancel := context.WithCancel(within10s(t))
	defer cancel()
	var call sync.WaitGroup
	defer call.Wait()
	call.Go(func() {
		_, body := h.For(public(t, "https://api.test")).Do(ctx, &abi.HTTPRequest{URL: "https://api.test/"})
		body.Close()
	})
	conn, err := l.Accept()
	require.NoError(t, err)
	defer conn.Close()
	first := make([]byte, len(http2Preface)+9) // and a frame's head, RFC 9113 section 4.1
	_, err = io.ReadFull(conn, first)
	require.NoError(t, err)
	require.Equal(t, http2Preface, string(first[:len(http2Preface)]))
	settings := make([]byte, first[len(http2Preface)+2])
	_, err = io.ReadFull(conn, settings)
	require.NoError(t, err)
	window := uint32(0)
	for ; len(settings) > 0; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 4 { // SETTINGS_INITIAL_WINDOW_SIZE
			window = binary.BigEndian.Uint32(settings[2:])
		}
	}
	require.LessOrEqual(t, window, uint32(512<<10))
	cancel()
}

// TestAnHTTP2ConnectionThatDiedIsGivenUp: calls share it, and none of them that runs out of
// time ends it, as over HTTP/1.1.
func TestAnHTTP2ConnectionThatDiedIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert, trusted := certificate(t, "api.test")
		h := NewHTTP(HTTPOptions{Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
		}})
		h.public.tls.RootCAs = trusted
		var silent sync.WaitGroup
		dialled := 0
		h.public.connect = func(context.Context, netip.AddrPort) (net.Conn, error) {
			dialled++
			ours, theirs := net.Pipe()
			conn := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, SessionTicketsDisabled: true})
			silent.Go(func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			})
			silent.Go(func() { _, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) }) // settings, and no other frame
			return ours, nil
		}
		f := h.For(public(t, "https://api.test"))
		call := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			head, body := f.Do(ctx, &abi.HTTPRequest{URL: "https://api.test/"})
			require.NoError(t, body.Close())
			require.Contains(t, []abi.Kind{abi.Deadline, abi.Unavailable}, head.Kind, head.Message)
		}
		for range 30 {
			call()
			time.Sleep(time.Second)
		}
		require.Greater(t, dialled, 1)
		h.Close()
		silent.Wait()
	})
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func TestConnectionIsUsedAgain(t *testing.T) {
	net := newInternet()
	net.host("api.test", "8.8.8.8")
	net.serve(t, "8.8.8.8:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }))
	f := net.http(t, HTTPOptions{}).For(public(t, "http://api.test"))
	for range 3 {
		_, text, err := get(t, f, "http://api.test/")
		require.NoError(t, err)
		require.Equal(t, "x", text)
	}
	require.Len(t, net.dialled, 1)
}

// TestConnectionsAreOneFunctions: some upstreams know a caller by its connection, as with
// NTLM, and what one function has left on a connection must not be another's answer.
func TestConnectionsAreOneFunctions(t *testing.T) {
	type known struct{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := r.Context().Value(known{}).(*atomic.Value)
		if name := r.Header.Get("Authorization"); name != "" {
			caller.Store(name)
		}
		fmt.Fprint(w, caller.Load())
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, known{}, new(atomic.Value))
	}
	server.Start()
	t.Cleanup(server.Close)
	calls := NewHTTP(HTTPOptions{})
	t.Cleanup(calls.Close)
	named := func(name string) *FunctionHTTP {
		spec := private(t, server.URL)
		spec.Name = name
		return calls.For(spec)
	}
	a, b := named("a"), named("b")
	_, body := a.Do(within10s(t), &abi.HTTPRequest{URL: server.URL, Headers: abi.Pairs{{Name: "authorization", Value: "a"}}})
	text, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.Equal(t, "a", string(text))
	_, got, err := get(t, b, server.URL)
	require.NoError(t, err)
	require.Equal(t, "<nil>", got, "the other function was taken for the first")
	_, got, err = get(t, named("a"), server.URL)
	require.NoError(t, err)
	require.Equal(t, "a", got, "its next version goes on with its connections")
}

// TestKeptConnectionsAreBounded over all functions: each keeps some for 30 s, and there
// may be more functions than the process may have descriptors.
func TestKeptConnectionsAreBounded(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	calls := NewHTTP(HTTPOptions{Total: 2})
	t.Cleanup(calls.Close)
	var open atomic.Int64
	dial := calls.private.connect
	calls.private.connect = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &closing{conn, sync.OnceFunc(func() { open.Add(-1) })}, nil
	}
	for i := range 20 {
		spec := private(t, server.URL)
		spec.Name = fmt.Sprint("f", i)
		for range 2 {
			_, _, err := get(t, calls.For(spec), server.URL)
			require.NoError(t, err)
		}
		require.LessOrEqual(t, open.Load(), int64(4))
	}
	calls.Close()
	require.Zero(t, calls.connections.open.Load())
	require.Zero(t, open.Load())

	server.Close()
	_, _, err := get(t, calls.For(private(t, server.URL)), server.URL)
	require.NoError(t, err, "it has no body")
	require.Zero(t, calls.connections.open.Load(), "one that was not made")
	ours, _ := net.Pipe()
	conn, err := calls.connections.count(func() (net.Conn, error) { return ours, nil })
	require.NoError(t, err)
	require.EqualValues(t, 1, calls.connections.open.Load())
	require.NoError(t, conn.Close())
	require.NoError(t, conn.Close())
	require.Zero(t, calls.connections.open.Load(), "closed twice")
}

// TestAKeptConnectionIsClosed after half a minute in which nobody used it.
func TestAKeptConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHTTP(HTTPOptions{})
		closed := make(chan time.Time, 1)
		h.public.connect = func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = http.ReadRequest(bufio.NewReader(theirs))
				_, _ = io.WriteString(theirs, "HTTP/1.1 204 No Content\r\n\r\n")
				_, _ = io.Copy(io.Discard, theirs)
				closed <- time.Now()
			}()
			return ours, nil
		}
		head, body := h.For(public(t, "http://8.8.8.8")).Do(t.Context(), &abi.HTTPRequest{URL: "http://8.8.8.8/"})
		require.EqualValues(t, http.StatusNoContent, head.Status, head.Message)
		require.NoError(t, body.Close())
		began := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, closed, 1)
		require.Equal(t, 30*time.Second, (<-closed).Sub(began))
		require.Zero(t, h.connections.open.Load())
	})
}

// closing tells when it is closed.
type closing struct {
	net.Conn
	told func()
}

func (c *closing) Close() error {
	c.told()
	return c.Conn.Close()
}

func TestBodyLimit(t *testing.T) {
	const limit = 100_000
	for _, test := range []struct {
		name     string
		declared bool
		size     int
		head     abi.Kind
		end      abi.Kind
	}{
		{"exactly at the limit", false, limit, abi.None, abi.None},
		{"exactly at the limit and declared", true, limit, abi.None, abi.None},
		{"one byte over the limit", false, limit + 1, abi.None, abi.TooLarge},
		{"one byte over the limit and declared", true, limit + 1, abi.TooLarge, abi.None},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, url := local(t, HTTPOptions{MaxBody: limit}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.declared {
					w.Header().Set("Content-Length", strconv.Itoa(test.size))
				}
				w.Write(make([]byte, test.size))
			}))
			head, text, err := get(t, f, url)
			require.Equal(t, test.head, head.Kind, head.Message)
			require.Equal(t, test.end, function.KindOf(err))
			if head.Kind == abi.None {
				require.Len(t, text, limit)
			}
		})
	}
}

func TestEndlessBodyEndsAtTheLimit(t *testing.T) {
	f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 32<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	head, body := f.Do(within10s(t), &abi.HTTPRequest{URL: url})
	require.Equal(t, abi.None, head.Kind)
	n, err := io.Copy(io.Discard, body)
	require.EqualValues(t, abi.MaxBody, n)
	require.Equal(t, abi.TooLarge, function.KindOf(err))
	_, again := body.Read(make([]byte, 1))
	require.Equal(t, err, again)
	require.NoError(t, body.Close())
	require.NoError(t, body.Close())
}

func TestCompressedBodyIsNotExpanded(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	w.Write(make([]byte, 10<<20))
	require.NoError(t, w.Close())
	var accepted []string
	f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accepted = r.Header["Accept-Encoding"]
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	}))
	head, text, err := get(t, f, url)
	require.NoError(t, err)
	require.Empty(t, accepted)
	require.Equal(t, "gzip", head.Headers.Get("content-encoding"))
	require.Equal(t, bomb.String(), text)
}

func TestHeadOfALargeFileIsNoBody(t *testing.T) {
	f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "99999999999")
	}))
	head, body := f.Do(within10s(t), &abi.HTTPRequest{Method: "HEAD", URL: url})
	defer body.Close()
	require.EqualValues(t, 200, head.Status, head.Message)
	require.Equal(t, "99999999999", head.Headers.Get("content-length"))
}

// drip sends start, then one byte after another until the other side is gone.
func drip(start, more string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, start)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := conn.Write([]byte{more[i%len(more)]}); err != nil {
				return
			}
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for _, test := range []struct {
		name      string
		serve     func(net.Conn)
		timeoutMS uint32
		kind      abi.Kind // of the head, or of the body's end when the head is fine
	}{
		{"a header that drips", drip("HTTP/1.1 200 OK\r\nX: ", "a"), 50, abi.Deadline},
		{"headers that drip", drip("HTTP/1.1 200 OK\r\n", "X: a\r\n"), 50, abi.Deadline},
		{"a body that drips", drip("HTTP/1.1 200 OK\r\n\r\n", "a"), 50, abi.Deadline},
		{"interim answers without end", drip("", "HTTP/1.1 103 Early Hints\r\n\r\n"), 50, abi.Deadline},
		{"nothing", func(conn net.Conn) { io.Copy(io.Discard, conn) }, 50, abi.Deadline},
		{"headers without end", func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(conn, "X: "+strings.Repeat("a", 1000)+"\r\n")
			}
		}, 0, abi.Unavailable},
		{"headers over 64 KiB", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 80)+"\r\n")
		}, 0, abi.Unavailable},
		{"too many headers", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("x:y\r\n", abi.MaxPairs+1)+"\r\n")
		}, 0, abi.TooLarge},
		{"no HTTP", func(conn net.Conn) { io.WriteString(conn, "220 smtp.test ESMTP\r\n") }, 0, abi.Unavailable},
		{"an end before the head", func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200") }, 0, abi.Unavailable},
		{"an end before the end of the body", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
		}, 0, abi.Unavailable},
		{"a change of protocol", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		}, 0, abi.Unavailable},
		{"a status of zero", func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 000 None\r\n\r\n") }, 0, abi.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, url := raw(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					test.serve(conn)
				}
			})
			head, body := f.Do(within10s(t), &abi.HTTPRequest{URL: url, TimeoutMS: test.timeoutMS})
			defer body.Close()
			_, err := io.Copy(io.Discard, body)
			if head.Kind != abi.None {
				require.NoError(t, err)
				require.Equal(t, test.kind, head.Kind, head.Message)
				return
			}
			require.Equal(t, test.kind, function.KindOf(err), err)
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Run("while the name is looked up", func(t *testing.T) {
		ended := make(chan struct{})
		h := NewHTTP(HTTPOptions{Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}})
		head, _ := h.For(public(t, "http://name.test")).Do(within10s(t), &abi.HTTPRequest{URL: "http://name.test/", TimeoutMS: 20})
		require.Equal(t, abi.Deadline, head.Kind, head.Message)
		<-ended // the call's own context, which the transport does not pass on by itself
	})
	t.Run("while the connection is made", func(t *testing.T) {
		ended := make(chan struct{})
		net := newInternet()
		h := net.http(t, HTTPOptions{})
		h.public.connect = blockUntilEnd(ended)
		head, _ := h.For(public(t, "http://8.8.8.8")).Do(within10s(t), &abi.HTTPRequest{URL: "http://8.8.8.8/", TimeoutMS: 20})
		require.Equal(t, abi.Deadline, head.Kind, head.Message)
		<-ended
	})
	t.Run("while TLS is set up", func(t *testing.T) {
		ended := make(chan struct{})
		f, url := raw(t, func(conn net.Conn) {
			io.Copy(io.Discard, conn) // until the caller hangs up
			close(ended)
		})
		url = "https" + strings.TrimPrefix(url, "http")
		began := time.Now()
		head, _ := f.http.For(private(t, url)).Do(within10s(t), &abi.HTTPRequest{URL: url, TimeoutMS: 20})
		require.Equal(t, abi.Deadline, head.Kind, head.Message)
		<-ended
		require.Less(t, time.Since(began), handshakeTimeout)
	})
	t.Run("while the body is read", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
		head, body := f.Do(ctx, &abi.HTTPRequest{URL: url})
		defer body.Close()
		require.Equal(t, abi.None, head.Kind, head.Message)
		cancel()
		_, err := body.Read(make([]byte, 1))
		require.Equal(t, abi.Deadline, function.KindOf(err))
	})
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f, url := local(t, HTTPOptions{}, http.NotFoundHandler())
		head, _ := f.Do(ctx, &abi.HTTPRequest{URL: url})
		require.Equal(t, abi.Deadline, head.Kind, head.Message)
	})
}

func TestFailedHandshakeClosesTheConnection(t *testing.T) {
	ended := make(chan struct{})
	f, url := raw(t, func(conn net.Conn) {
		io.WriteString(conn, "this is no TLS")
		io.Copy(io.Discard, conn) // until the caller hangs up
		close(ended)
	})
	url = "https" + strings.TrimPrefix(url, "http")
	head, _ := f.http.For(private(t, url)).Do(within10s(t), &abi.HTTPRequest{URL: url})
	require.Equal(t, abi.Unavailable, head.Kind, head.Message)
	<-ended
}

func blockUntilEnd(ended chan<- struct{}) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
}

func TestLimitThatIsNotTheCallsIsNoDeadline(t *testing.T) {
	h := NewHTTP(HTTPOptions{Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return nil, context.DeadlineExceeded // the resolver's own patience
	}})
	head, _ := h.For(public(t, "http://name.test")).Do(within10s(t), &abi.HTTPRequest{URL: "http://name.test/"})
	require.Equal(t, abi.Unavailable, head.Kind)
	require.Contains(t, head.Message, "resolve name.test")
}

func TestAResolverThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHTTP(HTTPOptions{Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		began := time.Now()
		head, _ := h.For(public(t, "http://name.test")).Do(t.Context(), &abi.HTTPRequest{URL: "http://name.test/"})
		require.Equal(t, abi.Unavailable, head.Kind, head.Message)
		require.Equal(t, resolveTimeout, time.Since(began))
	})
}

func TestCloseEndsARead(t *testing.T) {
	f, url := local(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	_, body := f.Do(context.Background(), &abi.HTTPRequest{URL: url})
	read := make(chan error)
	go func() {
		_, err := body.Read(make([]byte, 1))
		read <- err
	}()
	require.NoError(t, body.Close())
	require.Error(t, <-read)
}

func TestOpenCallsAreCounted(t *testing.T) {
	hold := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	call := func(t *testing.T, f *FunctionHTTP, url string) (abi.HTTPHead, io.Closer) {
		t.Helper()
		head, body := f.Do(within10s(t), &abi.HTTPRequest{URL: url})
		t.Cleanup(func() { body.Close() })
		return head, body
	}
	t.Run("for one function", func(t *testing.T) {
		f, url := local(t, HTTPOptions{PerFunction: 2}, hold)
		_, first := call(t, f, url)
		call(t, f, url)
		head, _ := call(t, f, url)
		require.Equal(t, abi.Overloaded, head.Kind)
		require.Contains(t, head.Message, "function f has too many outbound calls open")

		head, _ = call(t, f.http.For(private(t, url)), url)
		require.Equal(t, abi.None, head.Kind, "another function is not affected")

		first.Close()
		head, _ = call(t, f, url)
		require.Equal(t, abi.None, head.Kind)
	})
	t.Run("for all functions", func(t *testing.T) {
		f, url := local(t, HTTPOptions{Total: 2}, hold)
		other := f.http.For(private(t, url))
		_, first := call(t, f, url)
		call(t, other, url)
		for _, f := range []*FunctionHTTP{f, other} {
			head, _ := call(t, f, url)
			require.Equal(t, abi.Overloaded, head.Kind)
			require.Contains(t, head.Message, "the host has too many outbound calls open")
		}
		first.Close()
		head, _ := call(t, other, url)
		require.Equal(t, abi.None, head.Kind)
	})
	t.Run("and given back after every kind of end", func(t *testing.T) {
		f, url := local(t, HTTPOptions{PerFunction: 1, MaxBody: 10}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 11))
		}))
		for range 3 {
			head, _, _ := get(t, f, url)
			require.Equal(t, abi.TooLarge, head.Kind, head.Message)
			head, _ = f.Do(t.Context(), &abi.HTTPRequest{URL: url, Method: "CONNECT"})
			require.Equal(t, abi.Invalid, head.Kind, head.Message)
		}
		require.Empty(t, f.open.own)
		require.Empty(t, f.http.open)

		nobody := newInternet().http(t, HTTPOptions{}).For(public(t, "http://8.8.8.8"))
		head, _, _ := get(t, nobody, "http://8.8.8.8/")
		require.Equal(t, abi.Unavailable, head.Kind, head.Message)
		require.Empty(t, nobody.open.own)
		require.Empty(t, nobody.http.open)
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	f, url := local(t, HTTPOptions{PerFunction: 4, Total: 6}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 100<<10))
	}))
	others := []*FunctionHTTP{f, f.http.For(private(t, url))}
	var callers sync.WaitGroup
	kinds := make(chan abi.Kind, 16*20)
	for i := range 16 {
		callers.Go(func() {
			for j := range 20 {
				head, body := others[i%2].Do(within10s(t), &abi.HTTPRequest{URL: url})
				kinds <- head.Kind
				if j%2 == 0 {
					io.Copy(io.Discard, body)
				}
				body.Close()
			}
		})
	}
	callers.Wait()
	close(kinds)
	served := 0
	for kind := range kinds {
		require.Contains(t, []abi.Kind{abi.None, abi.Overloaded}, kind)
		if kind == abi.None {
			served++
		}
	}
	require.Positive(t, served)
	require.Empty(t, f.http.open)
	require.Empty(t, others[0].open.own)
	require.Empty(t, others[1].open.own)
}

func TestErrorsKeepTheirKind(t *testing.T) {
	err := explain(t.Context(), errors.Join(errors.New("first address"), denied("second")))
	require.Equal(t, abi.Denied, function.KindOf(err))
}
