// Package secret reads the secrets granted to a function in functions.toml.
//
// The host keeps their values: one that a handler reads lives in that event's
// sandbox alone, and reading during initialisation is refused, because the
// snapshot must hold none. Keep values out of logs and errors.
package secret

import (
	"strconv"

	"spore/abi"
	"spore/guest/internal/sys"
)

// Get returns the value of the secret called name. guest.KindOf tells why there
// is none: guest.Denied when it is not in the function's list of secrets or main
// has not reached guest.Start yet, guest.NotFound when the host has no value for it.
func Get(name string) (string, error) { return get(name, sys.SecretGet) }

// get asks read again with a larger buffer until the value fits.
func get(name string, read func(name string, buf []byte) int32) (string, error) {
	buf := make([]byte, 256) // holds most keys and tokens
	for {
		n := read(name, buf)
		if n < 0 {
			return "", refusal(name, abi.KindOfErrno(n))
		}
		if int(n) <= len(buf) {
			return string(buf[:n]), nil
		}
		buf = make([]byte, n)
	}
}

func refusal(name string, kind abi.Kind) error {
	detail := sys.Detail(kind)
	if kind == abi.Denied && detail == "" {
		detail = "add it to secrets of this function in functions.toml"
	}
	return &sys.Error{Op: "read secret " + strconv.Quote(name), Kind: kind, Detail: detail}
}
