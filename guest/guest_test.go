package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest/internal/sys"
)

func TestAnswersCarryTheirContentType(t *testing.T) {
	require.Equal(t, Result{ContentType: "text/plain; charset=utf-8", Body: []byte("hi")}, Text("hi"))
	require.Equal(t, Result{ContentType: "application/json", Body: []byte(`{}`)}, JSON([]byte(`{}`)))
}

func TestKindOf(t *testing.T) {
	refusal := sys.Check("read secret", abi.NotFound.Errno())
	tests := []struct {
		name string
		err  error
		want abi.Kind
	}{
		{"no error", nil, abi.None},
		{"an error of the author's", errors.New("x"), abi.None},
		{"a refusal", refusal, abi.NotFound},
		{"a refusal inside another error", fmt.Errorf("start: %w", refusal), abi.NotFound},
		{"a refusal among others", errors.Join(errors.New("x"), refusal), abi.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, KindOf(tt.err))
		})
	}
	require.NoError(t, sys.Check("log", 0))
	require.EqualError(t, refusal, "read secret: not_found")
}

type tooShort struct{ n int }

func (e tooShort) Error() string { return "too short" }

type code string

type stringer struct{}

func (stringer) String() string { return "a stringer" }

func TestErrorsAreReportedAsLambdaDoes(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want abi.Error
	}{
		{"errors.New", errors.New("boom"), abi.Error{Type: "errorString", Message: "boom"}},
		{"a type of the author's", tooShort{1}, abi.Error{Type: "tooShort", Message: "too short"}},
		{"a pointer to one", &tooShort{1}, abi.Error{Type: "tooShort", Message: "too short"}},
		{"a panic with a string", &panicError{"boom", "stack"}, abi.Error{Type: "string", Message: "boom", Stack: "stack"}},
		{"a panic with an error", &panicError{tooShort{1}, "stack"}, abi.Error{Type: "tooShort", Message: "too short", Stack: "stack"}},
		{"a panic with a stringer", &panicError{stringer{}, "stack"}, abi.Error{Type: "stringer", Message: "a stringer", Stack: "stack"}},
		{"a panic with a number", &panicError{-42, "stack"}, abi.Error{Type: "int", Message: "-42", Stack: "stack"}},
		{"a panic with an unsigned number", &panicError{uint8(200), "stack"}, abi.Error{Type: "uint8", Message: "200", Stack: "stack"}},
		{"a panic with a string of the author's type", &panicError{code("E7"), "stack"}, abi.Error{Type: "code", Message: "E7", Stack: "stack"}},
		{"a panic with something else", &panicError{[]int{1}, "stack"},
			abi.Error{Type: "[]int", Message: "panic with a value of type []int", Stack: "stack"}},
		{"a nil pointer", (*tooShort)(nil), abi.Error{Type: "tooShort", Message: "no text: the error panics when it is asked for it"}},
		{"a panic with a nil pointer", &panicError{(*tooShort)(nil), "stack"},
			abi.Error{Type: "tooShort", Message: "no text: the error panics when it is asked for it", Stack: "stack"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, describe(tt.err))
		})
	}
}

func TestAReportAlwaysFits(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	got := describe(&panicError{huge, huge})
	require.Less(t, len(abi.AppendError(nil, &got)), abi.MaxHead)
	require.Len(t, got.Message, maxErrorMessage)
	require.Len(t, got.Stack, maxErrorStack)
}

// foreign is an error that came as text.
type foreign struct{ error }

func (foreign) ErrorType() string  { return "Stock.Empty" }
func (foreign) ErrorStack() string { return "Take" }

func TestAnErrorMayNameItself(t *testing.T) {
	got := describe(foreign{errors.New("none left")})
	require.Equal(t, abi.Error{Type: "Stock.Empty", Message: "none left", Stack: "Take"}, got)
}

func TestTheContextEndsAtTheEventsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(time.Second)
		ctx := newContext(&Event{DeadlineMS: deadline.UnixMilli()}, new(eventContext))
		at, ok := ctx.Deadline()
		require.True(t, ok)
		require.True(t, at.Equal(deadline))
		require.NoError(t, ctx.Err())
		<-ctx.Done()
		require.True(t, time.Now().Equal(deadline))
		require.Equal(t, context.DeadlineExceeded, ctx.Err())

		child, cancel := context.WithCancel(ctx)
		defer cancel()
		<-child.Done()
		require.Equal(t, context.DeadlineExceeded, child.Err())
	})
}

func TestWithoutADeadlineTheContextDoesNotEnd(t *testing.T) {
	ctx := newContext(&Event{}, new(eventContext))
	_, ok := ctx.Deadline()
	require.False(t, ok)
	require.Nil(t, ctx.Done())
	require.NoError(t, ctx.Err())
}

func TestOutsideASandboxNothingIsAnswered(t *testing.T) {
	require.EqualError(t, Respond(Text("x")), "send_response: denied: there is no host outside a sandbox; see spore/guest/guesttest for tests")
	require.NotPanics(t, func() { Log(0, "message", "name", "value", "a name alone") })
}
