package state

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"spore/abi"
	"spore/host/function"
)

// A bucket is a stream called KV_spore-NAME, as NATS's own tools expect of a
// key-value bucket spore-NAME, with one subject for each key.
const (
	streamPrefix  = "KV_spore-"
	subjectPrefix = "$KV.spore-"
)

// checkName refuses what is no function's name. Those need no escaping, and two of
// them are never the same bucket, also where file names have no case.
func checkName(name string) error {
	if !function.IsName(name) {
		return &function.Error{Kind: abi.Invalid, Op: "open bucket", Err: fmt.Errorf("%q is not the name of a function", name)}
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return &function.Error{Kind: abi.Invalid, Err: errors.New("the key is empty")}
	case len(key) > abi.MaxKVKey:
		return &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the key is over the limit of %d bytes", abi.MaxKVKey)}
	case !utf8.ValidString(key):
		return &function.Error{Kind: abi.Invalid, Err: errors.New("the key is not valid UTF-8")}
	}
	return nil
}

const hexDigits = "0123456789ABCDEF"

// plain reports whether c stands for itself in an escaped key: never what NATS
// gives a meaning to (dot, star, greater-than, white space), and never the equals
// sign that begins an escape.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/' || c == ':'
}

// escape makes one token of a NATS subject out of any key: two keys never become
// the same one.
func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// unescape returns the key behind a token, and false for one that escape does not make.
func unescape(token string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' && i+2 < len(token) {
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 || plain(byte(high<<4|low)) {
				return "", false
			}
			c, i = byte(high<<4|low), i+2
		} else if !plain(c) {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
