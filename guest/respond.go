package guest

import (
	"reflect"
	"strconv"

	"spore/abi"
)

// Respond sends the answer now and lets the handler go on: the client has its
// answer, while the handler may work until the event's deadline. What the
// handler returns afterwards is dropped, and an error it returns goes to the
// log. A second answer is refused with an error, and so is one before Start.
func Respond(res Result) error { return respond(&res) }

// Bounds of an error report, so that it always fits the host's limits.
const (
	maxErrorMessage = 8 << 10
	maxErrorStack   = 32 << 10
)

// panicError is a panic of the handler.
type panicError struct {
	value any
	stack string
}

func (e *panicError) ErrorType() string  { return typeName(e.value) }
func (e *panicError) ErrorStack() string { return e.stack }

func (e *panicError) Error() string {
	switch v := e.value.(type) {
	case error:
		return v.Error()
	case interface{ String() string }:
		return v.String()
	}
	switch v := reflect.ValueOf(e.value); {
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return "panic with a value of type " + typeName(e.value)
}

// reporter is an error that stands for another one: a panic, or a failure that
// reached the SDK as text.
type reporter interface {
	ErrorType() string
	ErrorStack() string
}

// describe turns a handler's error into the frame the host logs. As in Lambda,
// errorType is the bare name of the Go type.
func describe(err error) abi.Error {
	e := abi.Error{Type: typeName(err), Message: clip(text(err), maxErrorMessage)}
	if r, ok := err.(reporter); ok {
		e.Type, e.Stack = clip(r.ErrorType(), maxErrorMessage), clip(r.ErrorStack(), maxErrorStack)
	}
	return e
}

// text is what err says. That is code of the author's, which may panic as the handler
// may: a nil pointer is an error like any other until it is asked.
func text(err error) (s string) {
	defer func() {
		if recover() != nil {
			s = "no text: the error panics when it is asked for it"
		}
	}()
	return err.Error()
}

func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name := t.Name(); name != "" {
		return name
	}
	return t.String()
}

func clip(s string, limit int) string {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
