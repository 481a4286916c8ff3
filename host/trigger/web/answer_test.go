package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

func headers(n int, name, value string) abi.Pairs {
	pairs := make(abi.Pairs, n)
	for i := range pairs {
		pairs[i] = abi.Pair{Name: name, Value: value}
	}
	return pairs
}

// TestG13BadGuestResponses: nothing of a bad answer is on the wire, and the
// connection is in step for the next request, which was sent already.
func TestG13BadGuestResponses(t *testing.T) {
	header := func(name, value string) abi.Result { return abi.Result{Headers: headers(1, name, value)} }
	tests := map[string]abi.Result{
		"status 42":                     {Status: 42},
		"status 100":                    {Status: 100},
		"status 101":                    {Status: 101},
		"status 199":                    {Status: 199},
		"status 600":                    {Status: 600},
		"status 99999":                  {Status: 99999},
		"a status that would wrap":      {Status: 1<<32 - 1},
		"129 headers":                   {Headers: headers(129, "x", "y")},
		"a head over 64 KiB":            {Headers: headers(2, "x", strings.Repeat("y", 32<<10))},
		"CR LF in a value":              header("x", "a\r\nSet-Cookie: evil=1"),
		"LF in a value":                 header("x", "a\nb"),
		"CR in a value":                 header("x", "a\rb"),
		"NUL in a value":                header("x", "a\x00b"),
		"DEL in a value":                header("x", "a\x7fb"),
		"CR LF in a cookie":             header("set-cookie", "a=1\r\n\r\n<html>"),
		"CR LF in a dropped header":     header("connection", "a\r\nb"),
		"an empty name":                 header("", "x"),
		"a space in a name":             header("a b", "x"),
		"a colon in a name":             header("a:b", "x"),
		"CR LF in a name":               header("a\r\nb", "x"),
		"a letter beyond ASCII":         header("ä", "x"),
		"CR LF in the content type":     {ContentType: "text/plain\r\n\r\nHTTP/1.1 200 OK"},
		"a content type over 64 KiB":    {ContentType: strings.Repeat("x", 64<<10+1)},
		"a body over the limit":         {Body: make([]byte, abi.MaxBody+1)},
		"a good header before a bad":    {Status: 201, Headers: append(headers(1, "x-good", "1"), abi.Pair{Name: "bad name"}), Body: []byte("secret")},
		"a good status and a bad value": {Status: 204, Headers: headers(1, "x", "\x01")},
	}
	for name, res := range tests {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: answering(res)}, bind("GET", "/x", "f"))
			c := h.dial(t).send(request("GET", "/x", "") + request("GET", "/healthz", ""))
			got := c.read("GET")
			require.Equal(t, 502, got.status)
			require.Equal(t, "bad_guest_response", got.code(t))
			require.NotContains(t, got.header, "X-Good")
			require.Empty(t, got.header.Values("Set-Cookie"))
			require.Equal(t, "ok", c.read("GET").body)
			require.Contains(t, h.log.String(), "check the function's answer")
		})
	}
}

func TestGuestHeaders(t *testing.T) {
	res := abi.Result{
		Status: 201, ContentType: "text/x",
		Headers: abi.Pairs{
			{Name: "Set-Cookie", Value: "a=1; Path=/"}, {Name: "set-cookie", Value: "a=2"}, {Name: "X-Two", Value: "1"}, {Name: "x-two", Value: "2\t."},
			{Name: "Content-Type", Value: "text/dropped"}, {Name: "content-encoding", Value: "gzip"}, {Name: "Content-Encoding", Value: "br"}, {Name: "x-empty", Value: ""},
			{Name: "Connection", Value: "close"}, {Name: "Content-Length", Value: "99"}, {Name: "transfer-encoding", Value: "chunked"},
			{Name: "Date", Value: "yesterday"}, {Name: "Server", Value: "evil"}, {Name: "Keep-Alive", Value: "timeout=1"}, {Name: "Upgrade", Value: "h2c"},
			{Name: "Trailer", Value: "x-t"}, {Name: "TE", Value: "trailers"}, {Name: "Proxy-Authenticate", Value: "Basic"}, {Name: "proxy-connection", Value: "close"},
			{Name: "X-Spore-Request-Id", Value: "forged"}, {Name: "Location", Value: "/elsewhere"},
		},
		Body: []byte("hello"),
	}
	h := start(t, Options{Invoker: answering(res)}, bind("GET", "/x", "f"))
	c := h.dial(t)
	got := c.send(request("GET", "/x", "")).read("GET")
	require.Equal(t, 201, got.status)
	require.Equal(t, "hello", got.body)
	require.NotEqual(t, "yesterday", got.header.Get("Date"))
	got.header.Del("Date")
	id := got.header.Get(requestIDHeader)
	require.Len(t, id, 36, "the host's own")
	require.Equal(t, http.Header{
		"Set-Cookie": {"a=1; Path=/", "a=2"}, "X-Two": {"1", "2\t."}, "Content-Type": {"text/x"}, "Content-Encoding": {"gzip, br"},
		"X-Empty": {""}, "X-Spore-Request-Id": {id}, "Location": {"/elsewhere"}, "Content-Length": {"5"},
	}, got.header)
	require.Equal(t, 201, c.send(request("GET", "/x", "")).read("GET").status, "the connection goes on")
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		res    abi.Result
		status int
		body   string
		length []string
	}{
		"an empty result is 200":              {abi.Result{}, 200, "", []string{"0"}},
		"204 has no body":                     {abi.Result{Status: 204, Body: []byte("x")}, 204, "", nil},
		"205 has no body":                     {abi.Result{Status: 205, Body: []byte("x")}, 205, "", []string{"0"}},
		"304 has no body":                     {abi.Result{Status: 304, Body: []byte("x")}, 304, "", nil},
		"a status without a name":             {abi.Result{Status: 599, Body: []byte("x")}, 599, "x", []string{"1"}},
		"the longest body":                    {abi.Result{Body: []byte(strings.Repeat("x", abi.MaxBody))}, 200, strings.Repeat("x", abi.MaxBody), []string{"6291456"}},
		"128 headers":                         {abi.Result{Headers: headers(128, "x", "y")}, 200, "", []string{"0"}},
		"no content type unless there is one": {abi.Result{Body: []byte("<html>")}, 200, "<html>", []string{"6"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: answering(test.res)}, bind("GET", "/x", "f"))
			c := h.dial(t).send(request("GET", "/x", "") + request("GET", "/healthz", ""))
			got := c.read("GET")
			require.Equal(t, test.status, got.status)
			require.True(t, test.body == got.body)
			require.Equal(t, test.length, got.header.Values("Content-Length"))
			require.Empty(t, got.header.Values("Content-Type"))
			require.Equal(t, "ok", c.read("GET").body)
		})
	}
}

// TestResultIsCopied: the answer is what it was when reply was called.
func TestResultIsCopied(t *testing.T) {
	inv := func(_ context.Context, _ function.Ref, _ *abi.Event, reply function.Reply) error {
		body := []byte("first")
		reply(&abi.Result{Body: body}, false)
		copy(body, "spoil")
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, bind("GET", "/x", "f"))
	c := h.dial(t)
	for range 100 {
		require.Equal(t, "first", c.send(request("GET", "/x", "")).read("GET").body)
	}
}
