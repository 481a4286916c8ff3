package web

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// TestAmbiguousRequests sends what another program could read differently. Each
// is refused and its connection closed, so that a request hidden in it never
// reaches a function.
func TestAmbiguousRequests(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	post := func(lines ...string) string {
		return "POST /x HTTP/1.1\r\nHost: h\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	get := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n" }
	tests := map[string]struct {
		request string
		status  int
	}{
		"length and encoding":                 {post("Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden, 400},
		"encoding and length":                 {post("Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n" + hidden, 400},
		"length and encoding identity":        {post("Content-Length: 5", "Transfer-Encoding: identity") + "abcde" + hidden, 400},
		"length and encoding in odd case":     {post("content-LENGTH: 5", "tRANSFER-encoding: chunked") + "0\r\n\r\n" + hidden, 400},
		"two equal lengths":                   {post("Content-Length: 2", "Content-Length: 2") + "ab" + hidden, 400},
		"two different lengths":               {post("Content-Length: 2", "Content-Length: 3") + "abc" + hidden, 400},
		"a list of lengths":                   {post("Content-Length: 2, 2") + "ab" + hidden, 400},
		"a length with a sign":                {post("Content-Length: +2") + "ab" + hidden, 400},
		"a negative length":                   {post("Content-Length: -2") + "ab" + hidden, 400},
		"a length in hexadecimal":             {post("Content-Length: 0x2") + "ab" + hidden, 400},
		"a length that overflows":             {post("Content-Length: 18446744073709551618") + "ab" + hidden, 400},
		"an empty length":                     {post("Content-Length:") + hidden, 400},
		"two encodings":                       {post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden, 400},
		"an encoding we do not know":          {post("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n" + hidden, 400},
		"the encoding that was none":          {post("Transfer-Encoding: identity") + hidden, 400},
		"an encoding with a vertical tab":     {post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + hidden, 400},
		"an encoding in quotes":               {post("Transfer-Encoding: \"chunked\"") + "0\r\n\r\n" + hidden, 400},
		"an encoding in HTTP/1.0":             {"POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, 400},
		"a space before the colon":            {post("Transfer-Encoding : chunked") + "0\r\n\r\n" + hidden, 400},
		"a space in a name":                   {post("Content Length: 5") + hidden, 400},
		"a folded header":                     {post("X-A: b", " c") + hidden, 400},
		"a folded encoding":                   {post("Transfer-Encoding:", " chunked") + "0\r\n\r\n" + hidden, 400},
		"a folded line with a tab":            {post("X-A: b", "\tContent-Length: 5") + hidden, 400},
		"a header line that ends in LF alone": {post("X-A: b\nContent-Length: 5") + hidden, 400},
		"CR in a value":                       {post("X-A: b\rContent-Length: 5") + hidden, 400},
		"NUL in a value":                      {post("X-A: b\x00") + hidden, 400},
		"a chunk size with a sign":            {post("Transfer-Encoding: chunked") + "+5\r\nabcde\r\n0\r\n\r\n" + hidden, 400},
		"a chunk size with 0x":                {post("Transfer-Encoding: chunked") + "0x5\r\nabcde\r\n0\r\n\r\n" + hidden, 400},
		"a chunk size that overflows":         {post("Transfer-Encoding: chunked") + "10000000000000005\r\nabcde\r\n0\r\n\r\n" + hidden, 400},
		"a chunk longer than its size":        {post("Transfer-Encoding: chunked") + "2\r\nabcde\r\n0\r\n\r\n" + hidden, 400},
		"a host with a quote":                 {"GET /x HTTP/1.1\r\nHost: a\"b\r\n\r\n" + hidden, 400},
		"a host with a user":                  {"GET /x HTTP/1.1\r\nHost: a@h\r\n\r\n" + hidden, 400},
		"a host beyond ASCII":                 {"GET /x HTTP/1.1\r\nHost: h\xff\r\n\r\n" + hidden, 400},
		"two hosts in one":                    {"GET http://a/x HTTP/1.1\r\nHost: a b\r\n\r\n" + hidden, 400},
		"an absolute target and another host": {"GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"an absolute target with a user":      {"GET http://u:p@h/x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"an absolute target of another kind":  {get("ftp://h/x") + hidden, 400},
		"two content types":                   {post("Content-Type: a/b", "content-type: c/d") + hidden, 400},
		"no host":                             {"GET /x HTTP/1.1\r\n\r\n" + hidden, 400},
		"two hosts":                           {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden, 400},
		"HTTP/1.9":                            {"GET /x HTTP/1.9\r\nHost: h\r\n\r\n" + hidden, 505},
		"HTTP/2.0":                            {"GET /x HTTP/2.0\r\nHost: h\r\n\r\n" + hidden, 505},
		"HTTP/0.9":                            {"GET /x\r\n\r\n" + hidden, 400},
		"the preface of HTTP/2":               {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden, 400},
		"a method in lower case":              {"get /x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"a method in mixed case":              {"GEt /x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"an expectation we do not know":       {post("Expect: 200-ok") + hidden, 417},
		"an encoded NUL":                      {get("/x%00y") + hidden, 400},
		"a NUL":                               {get("/x\x00y") + hidden, 400},
		"a backslash":                         {get("/x\\y") + hidden, 400},
		"an encoded backslash":                {get("/x%5Cy") + hidden, 400},
		"an encoded slash":                    {get("/x%2fy") + hidden, 400},
		"a dot segment":                       {get("/a/./x") + hidden, 400},
		"a dot segment at the end":            {get("/x/.") + hidden, 400},
		"two dots":                            {get("/a/../x") + hidden, 400},
		"two dots at the end":                 {get("/x/y/..") + hidden, 400},
		"encoded dots":                        {get("/a/%2e%2e/%2E%2e/x") + hidden, 400},
		"half encoded dots":                   {get("/a/.%2e/x") + hidden, 400},
		"an empty segment":                    {get("/a//x") + hidden, 400},
		"an empty first segment":              {get("//a/x") + hidden, 400},
		"an escape cut short":                 {get("/x%2") + hidden, 400},
		"an escape that is none":              {get("/x%zz") + hidden, 400},
		"a fragment":                          {get("/x#y") + hidden, 400},
		"a target that is no path":            {get("x") + hidden, 400},
		"an asterisk":                         {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"an authority":                        {"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, 400},
		"a host with a bad user part":         {"GET /x HTTP/1.1\r\nHost: a b@h\r\n\r\n" + hidden, 400},
		"more headers than an event may have": {post(strings.TrimSuffix(strings.Repeat("a:\r\n", 1001), "\r\n")) + hidden, 431},
		"a header longer than the buffer":     {post("X-A: "+strings.Repeat("a", 17<<10)) + hidden, 431},
		"a target longer than the buffer":     {get("/"+strings.Repeat("a", 17<<10)) + hidden, 431},
		"a declared body over the limit":      {post(fmt.Sprint("Content-Length: ", abi.MaxBody+1)), 413},
	}
	var reached atomic.Int32
	inv := func(_ context.Context, _ function.Ref, _ *abi.Event, reply function.Reply) error {
		reached.Add(1)
		reply(&abi.Result{}, false)
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, everything...)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := h.dial(t).send(test.request)
			got := c.read("GET")
			require.Equal(t, test.status, got.status, got.body)
			got.code(t)
			require.True(t, got.close)
			c.requireClosed()
			require.Zero(t, reached.Load(), "a function was called")
		})
	}
}

// TestUnusualButClearRequests must not be caught by the gate.
func TestUnusualButClearRequests(t *testing.T) {
	tests := map[string]struct{ request, body string }{
		"an absolute target":             {"GET http://Example.org:80/x?a HTTP/1.1\r\nHost: example.org:80\r\n\r\n", "f GET /x?a rest=x"},
		"one without a host line":        {"GET http://h/x HTTP/1.0\r\n\r\n", "f GET /x? rest=x"},
		"a host that is an address":      {"GET /x HTTP/1.1\r\nHost: [fe80::1%25eth0]:8080\r\n\r\n", "f GET /x? rest=x"},
		"a host with an underscore":      {"GET /x HTTP/1.1\r\nHost: my_app\r\n\r\n", "f GET /x? rest=x"},
		"dots that are no segments":      {"GET /.x/..y/z.. HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /.x/..y/z..? rest=.x/..y/z.."},
		"a slash and dots in the query":  {"GET /x?a=%2f../%00\\ HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /x?a=%2f../%00\\ rest=x"},
		"a slash at the end":             {"GET /x/ HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /x/? rest=x/"},
		"bytes beyond ASCII":             {"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /\xc3\xa9? rest=é"},
		"an escaped percent":             {"GET /a%2541 HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /a%2541? rest=a%41"},
		"HTTP/1.0":                       {"GET /x HTTP/1.0\r\n\r\n", "f GET /x? rest=x"},
		"an empty line before a request": {"\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", "f GET /x? rest=x"},
		"as many headers as may be":      {"GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a:\r\n", 999) + "\r\n", "f GET /x? rest=x"},
		"a tab in a value":               {"GET /x HTTP/1.1\r\nHost: h\r\nA: b\tc\r\n\r\n", "f GET /x? rest=x"},
	}
	h := start(t, Options{Invoker: invoker(echo)}, everything...)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.ask(t, test.request)
			require.Equal(t, 200, got.status, got.body)
			require.Equal(t, test.body, got.body)
		})
	}
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo), Timeouts: Timeouts{Read: 50 * time.Millisecond, Idle: 50 * time.Millisecond}}, everything...)
	for name, part := range map[string]string{
		"in the header":         "GET /x HTTP/1.1\r\nHo",
		"before the last line":  "GET /x HTTP/1.1\r\nHost: h\r\n",
		"LF alone as line ends": "GET /x HTTP/1.1\nHost: h\n\n",
		"in the body":           "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
		"in a chunk":            "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"in a chunk's size":     "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a",
		"behind a chunk":        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r",
		"in a trailer":          "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := h.dial(t).send(part)
			got := c.read("GET")
			require.Equal(t, 408, got.status)
			require.Equal(t, "deadline", got.code(t))
			c.requireClosed()
		})
	}
	t.Run("between requests", func(t *testing.T) {
		c := h.dial(t).send(request("GET", "/healthz", ""))
		require.Equal(t, "ok", c.read("GET").body)
		c.requireClosed()
	})
}
