package web

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// copyEvent makes an event that outlives its request.
func copyEvent(ev *abi.Event) abi.Event {
	var got abi.Event
	if err := got.Decode(abi.AppendEvent(nil, ev)); err != nil {
		panic(err)
	}
	return got
}

// capture answers 200 and hands out a copy of each event.
func capture() (invoker, chan abi.Event) {
	events := make(chan abi.Event, 16)
	return func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		events <- copyEvent(ev)
		reply(&abi.Result{}, false)
		return nil
	}, events
}

func TestEventOfARequest(t *testing.T) {
	inv, events := capture()
	h := start(t, Options{Invoker: inv}, bind("POST", "/a/{name}", "stats"))
	c := h.dial(t)
	got := c.send(request("POST", "/a/%41?q=%20&r", "{}", "X-ONE: 1", "x-Two:  a ", "X-two: b", "X-Empty:",
		"Content-Type: application/json", "TraceParent: 00-aa-bb-01", "Cookie: a=1; b=2", "X-Amzn-Trace-Id: Root=1")).read("POST")
	require.Equal(t, abi.Event{
		RequestID: got.header.Get(requestIDHeader), Trigger: "http", TraceID: "00-aa-bb-01", ContentType: "application/json",
		Headers: abi.Pairs{
			{Name: "host", Value: "h"}, {Name: "x-one", Value: "1"}, {Name: "x-two", Value: "a"}, {Name: "x-two", Value: "b"},
			{Name: "x-empty", Value: ""}, {Name: "content-type", Value: "application/json"}, {Name: "traceparent", Value: "00-aa-bb-01"},
			{Name: "cookie", Value: "a=1; b=2"}, {Name: "x-amzn-trace-id", Value: "Root=1"}, {Name: "content-length", Value: "2"},
		},
		Method: "POST", Path: "/a/%41", RawQuery: "q=%20&r", Params: abi.Pairs{{Name: "name", Value: "A"}},
		ClientAddr: c.LocalAddr().String(), BodySize: 2, Body: []byte("{}"),
	}, await(t, events))
}

func TestEventsBodies(t *testing.T) {
	multipart := "a preamble\r\n--b\r\nX-Odd: 1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n"
	tests := map[string]struct{ request, body string }{
		"none":              {request("POST", "/", ""), ""},
		"chunked":           {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
		"a multipart form":  {request("POST", "/", multipart, "Content-Type: multipart/form-data; boundary=b"), multipart},
		"one that was zip":  {request("POST", "/", "\x1f\x8b\x00", "Content-Encoding: gzip"), "\x1f\x8b\x00"},
		"of a GET request":  {request("GET", "/", "why not"), "why not"},
		"after a 100":       {request("POST", "/", "abc", "Expect: 100-continue"), "abc"},
		"HTTP/1.0":          {"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "hi"},
		"exactly the limit": {request("POST", "/", strings.Repeat("x", abi.MaxBody)), strings.Repeat("x", abi.MaxBody)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bodies := make(chan string, 1)
			inv := func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
				bodies <- string(ev.Body)
				reply(&abi.Result{}, false)
				return nil
			}
			h := start(t, Options{Invoker: invoker(inv)}, everything...)
			c := h.dial(t).send(test.request)
			got := c.read("POST")
			if got.status == 100 {
				got = c.read("POST")
			}
			require.Equal(t, 200, got.status)
			require.True(t, test.body == await(t, bodies), "the body arrives as it was sent")
		})
	}
}

func TestTraceIDOfAmazon(t *testing.T) {
	inv, events := capture()
	h := start(t, Options{Invoker: inv}, everything...)
	h.ask(t, request("GET", "/", "", "x-amzn-trace-id: Root=1-2"))
	require.Equal(t, "Root=1-2", await(t, events).TraceID)
}

func TestRequestIDs(t *testing.T) {
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for range 1000 {
		id := NewRequestID()
		require.Regexp(t, form, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

// TestBorrowLiesInItsBytes would fail if borrow copied.
func TestBorrowLiesInItsBytes(t *testing.T) {
	b := []byte("abc")
	s := borrow(b)
	b[1] = 'X'
	require.Equal(t, "aXc", s)
	require.Equal(t, "", borrow(nil))
}

// TestEventStandsStillUntilItsAnswer holds many events at once and compares
// them when every other request has been read into fasthttp's buffers. With
// -race it also shows that nobody writes to them.
func TestEventStandsStillUntilItsAnswer(t *testing.T) {
	const together, rounds = 16, 5
	var gate [rounds]sync.WaitGroup
	for i := range gate {
		gate[i].Add(together)
	}
	inv := func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
		before := copyEvent(ev)
		var round int
		if _, err := fmt.Sscanf(ev.RawQuery, "round=%d", &round); err != nil {
			return err
		}
		gate[round].Done()
		gate[round].Wait()
		if string(abi.AppendEvent(nil, ev)) != string(abi.AppendEvent(nil, &before)) {
			return &function.Error{Kind: abi.Internal, Op: "compare events"}
		}
		reply(&abi.Result{Body: []byte(ev.Path + " " + string(ev.Body))}, false)
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, everything...)
	var clients sync.WaitGroup
	for n := range together {
		c := h.dial(t)
		clients.Go(func() {
			for round := range rounds {
				path, body := fmt.Sprintf("/%d/%d", n, round), strings.Repeat(string(rune('a'+n)), 100*(n+1))
				got := c.send(request("POST", fmt.Sprintf("%s?round=%d", path, round), body)).read("POST")
				if got.body != path+" "+body {
					t.Errorf("got %q", got.body)
				}
			}
		})
	}
	clients.Wait()
}

// TestNobodyReadsAnEventAfterItsAnswer poisons each event when its answer is
// given. Whoever still read it would spoil an answer or be seen by -race.
func TestNobodyReadsAnEventAfterItsAnswer(t *testing.T) {
	inv := func(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) error {
		_ = echo(ctx, ref, ev, reply)
		for i := range ev.Headers {
			ev.Headers[i] = abi.Pair{Name: "poison", Value: "poison"}
		}
		*ev = abi.Event{RequestID: "poison", Method: "poison", Path: "/poison", Headers: ev.Headers}
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, everything...)
	var clients sync.WaitGroup
	for n := range 8 {
		c := h.dial(t)
		clients.Go(func() {
			for i := range 100 {
				want := fmt.Sprintf("/%d-%d", n, i)
				got := c.send(request("GET", want, "")).read("GET")
				if got.body != "f GET "+want+"? rest="+want[1:] || got.header.Get(requestIDHeader) == "poison" {
					t.Errorf("got %q", got.body)
				}
			}
		})
	}
	clients.Wait()
	require.NotContains(t, h.log.String(), "panic")
}
