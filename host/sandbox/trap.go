package sandbox

import (
	"fmt"
	"strings"
)

// isTrap reports whether err is the guest's doing rather than a panic in a host
// function. The engine tells its traps by their text alone.
func isTrap(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "wasm error: ") || text == "stack overflow"
}

// trap is a WebAssembly trap. Its text is the first line of the engine's
// message; the stack below it is for the log.
type trap struct{ err error }

func (t *trap) Error() string {
	text, _, _ := strings.Cut(t.err.Error(), "\n")
	return text
}

func (t *trap) Unwrap() error { return t.err }

// exitCause words an exit for the author: with what the guest said last, because
// the Go runtime explains itself on standard error before it exits.
func exitCause(exit *exitError, said string) error {
	if said == "" {
		return fmt.Errorf("exited with status %d", exit.code)
	}
	return fmt.Errorf("exited with status %d: %s", exit.code, said)
}
