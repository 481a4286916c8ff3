package capability

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"spore/abi"
	"spore/host/function"
)

// refusal is a head that says why there is no answer. Of the URL it shows the
// origin: paths and queries may hold secrets, and messages end up in logs.
func refusal(err error, out *http.Request) (abi.HTTPHead, io.ReadCloser) {
	op := "http_start"
	if out != nil {
		op += " " + out.URL.Scheme + "://" + out.URL.Host + "/"
	}
	return abi.HTTPHead{Kind: function.KindOf(err), Message: message(op + ": " + err.Error())}, http.NoBody
}

// message is an account of what went wrong, for the author, cut to what is sensible.
func message(text string) string {
	const limit = 1000
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// explain gives the error of a call the kind its author branches on.
func explain(ctx context.Context, err error) error {
	var known *function.Error
	switch {
	case errors.As(err, &known):
		return known
	case isOver(ctx):
		return &function.Error{Kind: abi.Deadline, Err: errors.New("no complete answer in the time given")}
	}
	return &function.Error{Kind: abi.Unavailable, Err: err}
}

// isOver reports whether the time of ctx is over. Connections learn of the
// deadline through timers of their own, perhaps just before ctx does; and their
// errors say deadline also for limits that are not the call's.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

func denied(format string, args ...any) error {
	return &function.Error{Kind: abi.Denied, Err: fmt.Errorf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &function.Error{Kind: abi.Invalid, Err: fmt.Errorf(format, args...)}
}

func overloaded(text string) error {
	return &function.Error{Kind: abi.Overloaded, Err: errors.New(text)}
}

func tooLarge(limit int64) error {
	return &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the answer's body is over the limit of %d bytes", limit)}
}
