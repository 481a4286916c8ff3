// Package sys declares the host functions of the ABI for the rest of the SDK.
// Outside wasip1 every one of them answers Denied, so that handlers compile and
// their pure parts can be tested natively.
package sys

import "spore/abi"

// Error is a host function's refusal.
type Error struct {
	Op   string // the host function, and what it was asked for
	Kind abi.Kind
}

func (e *Error) Error() string { return e.Op + ": " + e.Kind.String() }

// Check returns nil when n is a host function's success and an *Error naming op
// otherwise.
func Check(op string, n int32) error {
	if n >= 0 {
		return nil
	}
	return &Error{op, abi.KindOfErrno(n)}
}
