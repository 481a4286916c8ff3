package function

import (
	"errors"
	"fmt"

	"spore/abi"
)

// Error is what the parts of the host return when the caller has to know what
// class of thing went wrong. Its text is for the operator; clients see the kind.
type Error struct {
	Kind abi.Kind
	Op   string // what was attempted, on what: "load function stats@7"
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	switch {
	case e.Err == nil && e.Op == "":
		return e.Kind.String()
	case e.Err == nil:
		return e.Op + ": " + e.Kind.String()
	case e.Op == "":
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Kind: k}) ask for the kind alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Op == "" && t.Err == nil
}

// KindOf returns the kind of the first Error in err's chain, None for nil, and
// Internal for an error without a kind.
func KindOf(err error) abi.Kind {
	if err == nil {
		return abi.None
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return abi.Internal
}

// ConcurrencyError is the cause of an Overloaded error that is about the function's own
// limit, as opposed to the host's.
type ConcurrencyError struct{ Limit int }

func (e *ConcurrencyError) Error() string {
	return fmt.Sprintf("all %d sandboxes of this function are in use; raise concurrency in functions.toml", e.Limit)
}
