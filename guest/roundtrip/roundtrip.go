// Package roundtrip carries net/http clients over the host's outbound calls. A
// blank import is enough for code that uses http.Get or a client without a
// Transport of its own:
//
//	import _ "spore/guest/roundtrip"
//
// The host then makes the calls of http.DefaultTransport, inside a sandbox only. A
// clone of it, or an http.Transport of a client's own, reaches nothing: it has to be
// a Transport of this package. net/http adds about 8 MB to a module; guest/fetch
// does without it.
package roundtrip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"spore/abi"
	"spore/guest"
	"spore/guest/fetch"
)

var errTrailer = errors.New("roundtrip: request trailers cannot be sent; put their values in headers")

// Transport is an http.RoundTripper whose calls the host makes. The zero value
// is ready, and calls may overlap. A request's body is read whole before it is
// sent, at most abi.MaxBody; a response's body streams and must be closed, because
// at most abi.MaxOpenCalls calls are open at once. Like http.Transport it asks for
// gzip and unpacks it, unless the request has an Accept-Encoding. The host names
// the URL's host whatever Request.Host says, and itself as User-Agent.
// guest.KindOf tells why a call has no answer.
type Transport struct {
	start func(context.Context, *fetch.Request) (*fetch.Stream, error) // nil means fetch.Start
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	call, err := outgoing(req)
	if err != nil {
		return nil, err
	}
	start := t.start
	if start == nil {
		start = fetch.Start
	}
	s, err := start(req.Context(), call)
	if err != nil {
		return nil, err
	}
	res := incoming(req, s)
	if asksForGzip(req) && res.Body != http.NoBody {
		unpack(res)
	}
	return res, nil
}

// outgoing turns req into the host's form and closes its body, as a
// RoundTripper must, on errors too.
func outgoing(req *http.Request) (*fetch.Request, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	if len(req.Trailer) > 0 {
		return nil, errTrailer
	}
	pairs := headers(req)
	if asksForGzip(req) {
		pairs = append(pairs, guest.Pair{Name: "Accept-Encoding", Value: "gzip"})
	}
	return &fetch.Request{Method: req.Method, URL: target(req.URL), Headers: pairs, Body: body}, nil
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	// One byte more than the limit is enough for fetch to refuse the body.
	body, err := io.ReadAll(io.LimitReader(req.Body, abi.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if n := req.ContentLength; n > 0 && n != int64(len(body)) && len(body) <= abi.MaxBody {
		return nil, errors.New("roundtrip: ContentLength is " + strconv.FormatInt(n, 10) + ", the body has " +
			strconv.Itoa(len(body)) + " bytes")
	}
	return body, nil
}

// target is u without what does not go on the wire; http.Client has made an
// Authorization header of the user part.
func target(u *url.URL) string {
	bare := *u
	bare.User, bare.Fragment, bare.RawFragment = nil, "", ""
	bare.RawQuery = encoded(u.RawQuery)
	return bare.String()
}

// encoded is a query in printable ASCII, as the host wants a URL to be. net/http's own
// transport sends a query as it was written, and servers take "Zürich" either way.
func encoded(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// headers returns req's headers sorted by name, without those the host derives
// from the URL and the body.
func headers(req *http.Request) guest.Pairs {
	var pairs guest.Pairs
	for name, values := range req.Header {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		}
		for _, v := range values {
			pairs = append(pairs, guest.Pair{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(pairs, func(a, b guest.Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

// incoming makes a response of what the host reports. The ABI carries no
// trailers, so Trailer stays nil.
func incoming(req *http.Request, s *fetch.Stream) *http.Response {
	res := &http.Response{
		Status:        strconv.Itoa(s.Status) + " " + http.StatusText(s.Status),
		StatusCode:    s.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(s.Headers)),
		Body:          s.Body,
		ContentLength: -1,
		Request:       req,
	}
	for _, h := range s.Headers {
		res.Header.Add(h.Name, h.Value)
	}
	if n, err := strconv.ParseUint(res.Header.Get("Content-Length"), 10, 63); err == nil {
		res.ContentLength = int64(n)
	}
	if s.Status == http.StatusNoContent || s.Status == http.StatusNotModified {
		res.ContentLength = 0 // whatever its headers say (RFC 9110, section 6.4.1)
	}
	if req.Method == http.MethodHead || res.ContentLength == 0 {
		// Nothing will be read, and the descriptor is free for the next call.
		s.Body.Close()
		res.Body = http.NoBody
	}
	return res
}
