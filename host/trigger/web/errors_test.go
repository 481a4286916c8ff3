package web

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

func TestStatusOfKind(t *testing.T) {
	kind := func(k abi.Kind, cause error) error {
		return fmt.Errorf("outer: %w", &function.Error{Kind: k, Err: cause})
	}
	tests := map[string]struct {
		err    error
		status int
		code   string
		retry  string
	}{
		"deadline":                       {kind(abi.Deadline, nil), 504, "deadline", ""},
		"overloaded host":                {kind(abi.Overloaded, nil), 503, "overloaded", "1"},
		"overloaded function":            {kind(abi.Overloaded, &function.ConcurrencyError{}), 429, "overloaded", "1"},
		"a limit that is the host's":     {kind(abi.Overloaded, errors.New("limit")), 503, "overloaded", "1"},
		"not found":                      {kind(abi.NotFound, nil), 404, "not_found", ""},
		"not ready":                      {kind(abi.NotReady, nil), 503, "not_ready", "1"},
		"denied":                         {kind(abi.Denied, nil), 403, "denied", ""},
		"too large":                      {kind(abi.TooLarge, nil), 502, "too_large", ""},
		"trapped":                        {kind(abi.Trapped, nil), 502, "trapped", ""},
		"exited":                         {kind(abi.Exited, nil), 502, "exited", ""},
		"out of memory":                  {kind(abi.OutOfMemory, nil), 502, "out_of_memory", ""},
		"no answer":                      {kind(abi.NoAnswer, nil), 502, "no_answer", ""},
		"out of order":                   {kind(abi.OutOfOrder, nil), 502, "out_of_order", ""},
		"the function's own error":       {kind(abi.GuestError, nil), 502, "guest_error", ""},
		"invalid":                        {kind(abi.Invalid, nil), 502, "invalid", ""},
		"unavailable":                    {kind(abi.Unavailable, nil), 502, "unavailable", ""},
		"internal":                       {kind(abi.Internal, nil), 500, "internal", ""},
		"an error without a kind":        {errors.New("x"), 500, "internal", ""},
		"a kind nobody knows":            {kind(abi.Kind(200), nil), 500, "internal", ""},
		"neither an answer nor an error": {nil, 500, "internal", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: failing(test.err)}, bind("GET", "/x", "f"))
			got := h.ask(t, request("GET", "/x", ""))
			require.Equal(t, test.status, got.status)
			require.Equal(t, test.code, got.code(t))
			require.Equal(t, test.retry, got.header.Get("Retry-After"))
		})
	}
}

// TestWhoFindsNoRoomWaits: a client that asks again at once does so ten times a second.
func TestWhoFindsNoRoomWaits(t *testing.T) {
	const pause = 50 * time.Millisecond
	full := &function.Error{Kind: abi.Overloaded, Err: &function.ConcurrencyError{}}
	h := start(t, Options{Invoker: failing(full), Timeouts: Timeouts{Overload: pause}}, bind("POST", "/x", "f"))
	for range 2 {
		start := time.Now()
		require.Equal(t, 429, h.ask(t, request("POST", "/x", "a body")).status)
		require.GreaterOrEqual(t, time.Since(start), pause)
	}
}

// TestS8ErrorsShowNoCause: the client gets a request id to ask with, and nothing of
// what the host knows. The Invoker has logged that.
func TestS8ErrorsShowNoCause(t *testing.T) {
	for name, err := range map[string]error{
		"the function's own error": &function.Error{Kind: abi.GuestError, Op: "planted op", Err: errors.New("PlantedType: planted message")},
		"a host error":             &function.Error{Kind: abi.Internal, Op: "planted op", Err: errors.New("planted message: PlantedType")},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Invoker: failing(err)}, bind("GET", "/x", "fn"))
			got := h.ask(t, request("GET", "/x", ""))
			require.NotContains(t, fmt.Sprint(got), "lanted")
		})
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	panicking := func(answerFirst bool) invoker {
		return func(_ context.Context, _ function.Ref, _ *abi.Event, reply function.Reply) error {
			if answerFirst {
				reply(&abi.Result{}, false)
			}
			panic("planted panic")
		}
	}
	for answerFirst, status := range map[bool]int{false: 500, true: 200} {
		h := start(t, Options{Invoker: panicking(answerFirst)}, bind("GET", "/x", "f"))
		c := h.dial(t)
		for range 3 {
			got := c.send(request("GET", "/x", "")).read("GET")
			require.Equal(t, status, got.status)
			require.NotContains(t, got.body, "planted")
		}
		require.NoError(t, h.stop(), "what the panic held was let go")
		require.Contains(t, h.log.String(), "planted panic")
	}
}

// TestAPanicBeforeTheFunctionIsAnswered, on the connection's own goroutine, and the
// connection goes on behind the body.
func TestAPanicBeforeTheFunctionIsAnswered(t *testing.T) {
	signed := bind("POST", "/slack", "f")
	signed.SlackSecret = "SIGNING"
	h := start(t, Options{Invoker: invoker(echo), MaxBodyBytes: 1 << 20, Secret: func(string) ([]byte, error) { panic("planted panic") }}, signed, bind("POST", "/x", "f"))
	c := h.dial(t)
	for range 3 {
		got := c.send(request("POST", "/slack", "text=a")).read("POST")
		require.Equal(t, 500, got.status)
		require.Equal(t, "internal", got.code(t))
		require.NotContains(t, got.body, "planted")
	}
	require.Equal(t, "f POST /x?", c.send(request("POST", "/x", "a body")).read("POST").body)
	h.awaitLeft(t, 1<<20)
	require.Contains(t, h.log.String(), "planted panic")

	h.table.Store(nil)
	got := c.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n").read("POST")
	require.Equal(t, 500, got.status)
	require.Equal(t, "internal", got.code(t))
}

func TestSecondAnswerIsABug(t *testing.T) {
	inv := func(_ context.Context, _ function.Ref, _ *abi.Event, reply function.Reply) error {
		reply(&abi.Result{Body: []byte("first")}, false)
		reply(&abi.Result{Body: []byte("second")}, false)
		return nil
	}
	h := start(t, Options{Invoker: invoker(inv)}, bind("GET", "/x", "f"))
	c := h.dial(t)
	require.Equal(t, "first", c.send(request("GET", "/x", "")).read("GET").body)
	require.Equal(t, "first", c.send(request("GET", "/x", "")).read("GET").body)
	require.NoError(t, h.stop())
	require.Contains(t, h.log.String(), "a second answer to one event")
}
