package fetch

import (
	"strings"

	"spore/abi"
	"spore/guest/internal/sys"
)

// callError is a call without a whole answer. guest.KindOf finds its kind, and
// errors.Is its cause.
type callError struct {
	call   string // method and URL, see describe
	kind   abi.Kind
	detail string // the host's or the context's account; may be empty
	cause  error  // may be nil
}

func (e *callError) Error() string {
	text := e.call
	if e.kind != abi.None {
		text += ": " + e.kind.String()
	}
	if e.detail != "" {
		text += ": " + e.detail
	}
	return text
}

// Unwrap gives guest.KindOf the host's kind and errors.Is the cause.
func (e *callError) Unwrap() []error {
	refusal := &sys.Error{Op: e.call, Kind: e.kind}
	if e.cause == nil {
		return []error{refusal}
	}
	return []error{refusal, e.cause}
}

// Timeout reports whether time ran out; net/url.Error asks for it.
func (e *callError) Timeout() bool { return e.kind == abi.Deadline }

// describe names a call in errors: the method, and the URL without what may
// hold secrets, its user part, query and fragment.
func describe(req *Request) string {
	method := req.Method
	if method == "" {
		method = "GET"
	}
	url := req.URL
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return method + " " + url
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if hasPath {
		path = "/" + path
	}
	return method + " " + scheme + "://" + authority + path
}
