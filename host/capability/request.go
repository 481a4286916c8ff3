package capability

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"strings"

	"spore/abi"
	"spore/host/function"
)

// prepare turns req into a request that may be sent, and the way it goes. With
// an error, the request is nil or has nothing but its URL.
func (f *FunctionHTTP) prepare(req *abi.HTTPRequest) (*http.Request, *http.Transport, error) {
	u, origin, err := parseURL(req.URL)
	if err != nil {
		return nil, nil, err
	}
	// A string of its own, not a part of req's: the transport keeps it for as long
	// as the connection, and would keep req's whole frame with it.
	u.Host = strings.TrimPrefix(origin.String(), origin.Scheme+"://")
	out := &http.Request{URL: u, Host: u.Host, Method: cmp.Or(req.Method, http.MethodGet)}
	way, granted := f.grants[origin]
	if !granted {
		return out, nil, denied("origin is not granted; add it to http of function %s in functions.toml", f.name)
	}
	if !function.IsToken(out.Method) || out.Method == http.MethodConnect || out.Method == http.MethodTrace {
		return out, nil, invalid("method %s cannot be used", function.Quoted(out.Method))
	}
	out.Header, err = requestHeader(req.Headers, f.http.options.UserAgent)
	setBody(out, req.Body)
	return out, way, err
}

// setBody gives out a body that can be sent again, should a kept connection turn
// out to be closed.
func setBody(out *http.Request, data []byte) {
	if len(data) == 0 {
		return
	}
	out.ContentLength = int64(len(data))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	out.Body, _ = out.GetBody()
}
