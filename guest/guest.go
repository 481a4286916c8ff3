// Package guest is what a spore function imports. A function is a command whose
// main ends in Start:
//
//	func main() { guest.Start(handle) }
//
//	func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
//		return guest.Text("hello " + string(ev.Body)), nil
//	}
//
// It is built with the stock toolchain, GOOS=wasip1 GOARCH=wasm go build, and
// run by `spore serve`. Everything main does before Start happens once, when the
// function is deployed; every request then starts from that state in a sandbox
// of its own, and nothing a handler leaves behind is seen by the next one. Warm is
// for what the first request would otherwise build, OnRestore for what must not be
// the same in every request.
//
// Outside wasip1 the package compiles, so that handlers can be vetted and their
// logic tested natively; Start then refuses to run.
package guest

import (
	"context"
	"errors"

	"spore/abi"
	"spore/guest/internal/sys"
)

// Event is one request to the function. The handler may keep and change it:
// it belongs to this sandbox alone. Body is always complete.
type Event = abi.Event

// Result is the function's answer.
type Result = abi.Result

// Pair is one header, route parameter or log attribute; Pairs a list of them.
type (
	Pair  = abi.Pair
	Pairs = abi.Pairs
)

// Handler answers one event. ctx carries the event's deadline. An error becomes
// a function error: the caller sees status 502, the log its type and message.
type Handler func(ctx context.Context, ev Event) (Result, error)

// Text returns a 200 answer with a plain-text body.
func Text(body string) Result {
	return Result{ContentType: "text/plain; charset=utf-8", Body: []byte(body)}
}

// JSON returns a 200 answer with body as it is, marked as JSON.
func JSON(body []byte) Result {
	return Result{ContentType: "application/json", Body: body}
}

// Kind says what class of thing a host function refused for.
type Kind = abi.Kind

// The kinds a function may want to tell apart.
const (
	None        = abi.None
	Invalid     = abi.Invalid     // the request itself cannot be used
	NotFound    = abi.NotFound    // no such secret or key
	Denied      = abi.Denied      // not granted in functions.toml
	Overloaded  = abi.Overloaded  // too many calls at once
	Deadline    = abi.Deadline    // the time given was over
	TooLarge    = abi.TooLarge    // over a limit of the ABI, or a full bucket
	Conflict    = abi.Conflict    // a key is at another revision
	Unavailable = abi.Unavailable // the upstream could not be reached or broke off
)

// KindOf returns the kind of a host function's refusal, and None for nil and for
// errors that did not come from the host.
func KindOf(err error) Kind {
	var e *sys.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return None
}

// Log writes one structured line to the function's log. Level is log/slog's
// number for it (-4 debug, 0 info, 4 warn, 8 error). kv are names and values in
// turn; a name without a value gets an empty one. A message is clipped at 16 KiB;
// attributes behind 40 KiB of them are left out, and "dropped" says how many. For a
// slog.Handler see guest/logging.
func Log(level int32, message string, kv ...string) {
	var attrs Pairs
	for len(kv) > 0 {
		p := Pair{Name: kv[0]}
		if len(kv) > 1 {
			p.Value, kv = kv[1], kv[1:]
		}
		attrs, kv = append(attrs, p), kv[1:]
	}
	sys.Log(sys.LogFrame(level, message, attrs))
}
