package web

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"spore/abi"
)

// The gate refuses requests that two programs could read differently: a proxy
// before us and we, or we and a function. fasthttp accepts them; the list is
// what it was measured to let through, beside RFC 9112 sections 3 and 6. Such a
// connection may be out of step, so it is closed.

var (
	badMethod   = refusal{fasthttp.StatusBadRequest, "invalid", "the method must be in upper case"}
	badVersion  = refusal{fasthttp.StatusHTTPVersionNotSupported, "invalid", "use HTTP/1.1 or HTTP/1.0"}
	badTarget   = refusal{fasthttp.StatusBadRequest, "invalid", "the request target must be a path or an http URL, without a fragment"}
	badHost     = refusal{fasthttp.StatusBadRequest, "invalid", "the host must be a name or an address, with or without a port, and the same in the request target"}
	badPath     = refusal{fasthttp.StatusBadRequest, "invalid", "the path must be in its simplest form: no dot segments or empty segments, no encoded slash or NUL, no broken escape, no backslash"}
	badHeader   = refusal{fasthttp.StatusBadRequest, "invalid", "header lines must end in CR LF, must not be folded, and their names must not hold spaces"}
	badFraming  = refusal{fasthttp.StatusBadRequest, "invalid", "send either content-length or transfer-encoding"}
	badTypes    = refusal{fasthttp.StatusBadRequest, "invalid", "send one content-type"}
	badEncoding = refusal{fasthttp.StatusBadRequest, "invalid", "the only transfer-encoding understood is chunked"}
	badExpect   = refusal{fasthttp.StatusExpectationFailed, "invalid", "the only expectation understood is 100-continue"}
	manyHeaders = refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "too_large", "send fewer headers"}
)

// inspect returns nil for a request that means one thing only.
func inspect(req *fasthttp.Request) *refusal {
	h := &req.Header
	switch {
	case bytes.ContainsFunc(h.Method(), func(c rune) bool { return 'a' <= c && c <= 'z' }):
		return &badMethod
	case !isVersion1(h.Protocol()):
		return &badVersion
	case bytes.ContainsFunc(h.Host(), notInHost):
		return &badHost
	}
	if r := inspectTarget(h.RequestURI(), h.Host()); r != nil {
		return r
	}
	if r := inspectPath(req.URI()); r != nil {
		return r
	}
	if e := h.Peek(fasthttp.HeaderExpect); len(e) > 0 && !bytes.EqualFold(e, []byte("100-continue")) {
		return &badExpect
	}
	return inspectHeader(h)
}

func isVersion1(protocol []byte) bool {
	return string(protocol) == "HTTP/1.1" || string(protocol) == "HTTP/1.0"
}

// notInHost reports what RFC 9112 section 3.2 wants refused: what RFC 3986 section 3.2 has
// no room for in a host and its port, such as the @ behind a user's name.
func notInHost(c rune) bool {
	alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	return !alphanumeric && !strings.ContainsRune("-._~!$&'()*+,;=:[]%", c)
}

// inspectTarget finds a fragment, and in a target that is a URL another host than the
// header's: RFC 9112 section 3.2.2 wants the header ignored, which not all do.
func inspectTarget(target, host []byte) *refusal {
	if bytes.IndexByte(target, '#') >= 0 {
		return &badTarget
	}
	scheme, rest, isURL := bytes.Cut(target, []byte("://"))
	if target[0] == '/' || !isURL {
		return nil
	}
	if !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return &badTarget
	}
	authority, _, _ := bytes.Cut(rest, []byte("/"))
	if len(host) > 0 && !bytes.EqualFold(authority, host) {
		return &badHost
	}
	return nil
}

// inspectPath compares the path as sent with fasthttp's, which is decoded and
// free of dot and empty segments: they must mean the same.
func inspectPath(uri *fasthttp.URI) *refusal {
	sent := uri.PathOriginal()
	if len(sent) == 0 || sent[0] != '/' {
		return &badTarget
	}
	if bytes.IndexByte(sent, '%') >= 0 {
		if hasEncodedDelimiter(sent) {
			return &badPath
		}
		decoded, err := url.PathUnescape(string(sent))
		if err != nil {
			return &badPath
		}
		sent = []byte(decoded)
	}
	if bytes.IndexByte(sent, '\\') >= 0 || !bytes.Equal(sent, uri.Path()) {
		return &badPath
	}
	return nil
}

// hasEncodedDelimiter finds %00, %2f and %5c.
func hasEncodedDelimiter(path []byte) bool {
	for ; len(path) >= 3; path = path[1:] {
		if path[0] != '%' {
			continue
		}
		switch string(path[1:3]) {
		case "00", "2f", "2F", "5c", "5C":
			return true
		}
	}
	return false
}

// inspectHeader walks the header block as it came in.
func inspectHeader(h *fasthttp.RequestHeader) *refusal {
	raw := h.RawHeaders()
	lines, types, length, encoding := 0, 0, false, false
	for len(raw) > 0 {
		line, rest, ended := bytes.Cut(raw, []byte("\r\n"))
		if !ended || bytes.IndexByte(line, '\n') >= 0 {
			return &badHeader
		}
		if len(line) == 0 {
			break
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.ContainsAny(name, " \t") {
			return &badHeader // a space in the name, or a folded line
		}
		if bytes.EqualFold(name, []byte("content-type")) {
			types++ // an event has one, and a function that looks for it among the headers may find the other
		}
		length = length || bytes.EqualFold(name, []byte("content-length"))
		encoding = encoding || bytes.EqualFold(name, []byte("transfer-encoding"))
		lines++
		raw = rest
	}
	switch {
	case length && encoding:
		return &badFraming
	case types > 1:
		return &badTypes
	case encoding && h.ContentLength() != -1:
		return &badEncoding // "identity", for which there is no body
	case length && h.ContentLength() < 0:
		return &longBody // see dontWaitForLongBodies
	case lines > abi.MaxPairs:
		return &manyHeaders
	}
	return nil
}
