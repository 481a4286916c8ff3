package abi

// Kind says what class of thing went wrong. It is what callers branch on, on
// both sides of the contract. Kinds are appended, never renumbered.
type Kind uint8

// The kinds of version 1. A host function reports kind k as the i32 value -k.
const (
	None        Kind = iota // no error
	Internal                // spore itself is wrong
	Invalid                 // a pointer, length, name, frame or argument that cannot be used
	NotFound                // no such function, route, secret or descriptor
	Denied                  // not granted to this function, or not at this time
	Overloaded              // no capacity now; trying again later may work
	Deadline                // the time given was over
	Trapped                 // the guest executed a WebAssembly trap
	Exited                  // the guest ended itself (os.Exit, a panic outside the handler, a fatal runtime error)
	OutOfMemory             // the guest wanted more memory than its limit
	TooLarge                // a frame, body or value over its limit
	OutOfOrder              // a call that the state of the request does not allow
	NoAnswer                // the guest returned without an answer
	GuestError              // the guest answered with send_error
	Unavailable             // an upstream could not be reached or broke off
	NotReady                // the function has no version that serves
	Conflict                // a key is not at the revision that the guest expected
)

var kindNames = [...]string{
	None: "none", Internal: "internal", Invalid: "invalid", NotFound: "not_found", Denied: "denied",
	Overloaded: "overloaded", Deadline: "deadline", Trapped: "trapped", Exited: "exited",
	OutOfMemory: "out_of_memory", TooLarge: "too_large", OutOfOrder: "out_of_order",
	NoAnswer: "no_answer", GuestError: "guest_error", Unavailable: "unavailable", NotReady: "not_ready",
	Conflict: "conflict",
}

// String returns the kind's name as it appears in logs and public error codes.
// A kind this version does not know is "unknown".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Errno returns k as a host function returns it.
func (k Kind) Errno() int32 { return -int32(k) }

// KindOfErrno returns the kind in a host function's negative return value, and
// None for zero and positive ones.
func KindOfErrno(n int32) Kind {
	if n >= 0 {
		return None
	}
	if n < -255 {
		return Internal
	}
	return Kind(-n)
}
