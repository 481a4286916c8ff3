package sandbox

import (
	"errors"
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
// the Go runtime explains itself on standard error before it exits. A Go program
// whose main returns exits too.
func exitCause(exit *exitError, said string, initialising bool) error {
	text := fmt.Sprintf("exited with status %d", exit.code)
	if initialising && exit.code == 0 {
		text += " without asking for a request; end main with guest.Start(handler)"
	}
	if said != "" {
		text += ": " + said
	}
	return errors.New(text)
}
