package function

import (
	"strconv"
	"strings"
)

// IsName reports whether name can be a function's, [a-z][a-z0-9-]{0,62}: a DNS label, so
// that it fits into paths, file names and metrics as it is.
func IsName(name string) bool {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return name != "" && len(name) <= 63 && 'a' <= name[0] && name[0] <= 'z' && !strings.ContainsFunc(name, other)
}

// IsIdentifier reports whether s is [A-Za-z_][A-Za-z0-9_]*, as the names of secrets and
// of path parameters are. TOML, the environment and a directory can hold such a name,
// and it is no path, whatever directory it is joined to.
func IsIdentifier(s string) bool {
	other := func(r rune) bool { return !isAlphanumeric(r) && r != '_' }
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, other)
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// IsToken reports whether s may be a header's name or a method, RFC 9110 section 5.6.2.
func IsToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(rune(c)) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsFieldValue reports whether s may be a header's value, RFC 9110 section 5.5, white
// space around it aside: no control characters but the tab.
func IsFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Quoted makes a guest's text safe to print, and short.
func Quoted(s string) string {
	const limit = 100
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}
