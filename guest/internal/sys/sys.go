// Package sys declares the host functions of the ABI for the rest of the SDK.
// Outside wasip1 every one of them answers Denied, so that handlers compile and
// their pure parts can be tested natively.
package sys

import (
	"context"
	"errors"
	"strconv"

	"spore/abi"
)

// Error is a host function's refusal, or a call without a whole answer.
type Error struct {
	Op     string   // the host function, and what it was asked for
	Kind   abi.Kind // None when the author's context was cancelled
	Detail string   // the host's account, or what to do; may be empty
	Cause  error    // may be nil
}

func (e *Error) Error() string {
	text := e.Op
	if e.Kind != abi.None {
		text += ": " + e.Kind.String()
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// Timeout reports whether time ran out; net/url.Error asks for it.
func (e *Error) Timeout() bool { return e.Kind == abi.Deadline }

// Ended is the error of an op whose context ended with err.
func Ended(op string, err error) *Error {
	e := &Error{Op: op, Detail: err.Error(), Cause: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Kind = abi.Deadline
	}
	return e
}

// Check returns nil when n is a host function's success and an *Error naming op
// otherwise.
func Check(op string, n int32) error {
	if n >= 0 {
		return nil
	}
	kind := abi.KindOfErrno(n)
	return &Error{Op: op, Kind: kind, Detail: Detail(kind)}
}

// Times at which a function has neither secrets, calls nor keys.
const (
	beforeStart = "not before guest.Start: ask in the handler"
	InWarm      = "not in guest.Warm: ask in the handler"
	InSample    = "a sample event has neither secrets nor keys: warm up with guest.Warm instead"
)

// ErrClone is what a clone of http.DefaultTransport gets, which has no host behind it.
var ErrClone = errors.New("a clone of http.DefaultTransport has no network; use a roundtrip.Transport of spore/guest/roundtrip")

// Detail says what can be done about a refusal of kind, as far as kind and Refused
// tell: a host function's number comes without a text.
func Detail(kind abi.Kind) string {
	switch kind {
	case abi.Denied:
		return Refused
	case abi.Overloaded:
		return strconv.Itoa(abi.MaxOpenCalls) + " calls may be open, with requests of 16 MiB together; close the bodies of those that are done"
	}
	return ""
}

// MessageDetail is Detail for a request or an answer of HTTP.
func MessageDetail(kind abi.Kind) string {
	switch kind {
	case abi.TooLarge, abi.Invalid:
		return "a body may have " + strconv.Itoa(abi.MaxBody) + " bytes, " + strconv.Itoa(abi.MaxPairs) + " headers together " + strconv.Itoa(abi.MaxHead)
	}
	return Detail(kind)
}
