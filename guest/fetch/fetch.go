// Package fetch makes outbound HTTP calls from a function, without the weight
// of net/http. Get and Do answer whole; Start hands the body over as it arrives.
//
//	res, err := fetch.Get(ctx, "https://example.org/status", guest.Pair{Name: "accept", Value: "application/json"})
//
// The host makes the call, only to origins granted in functions.toml. Redirects
// are not followed and no status is an error. Calls may overlap, from as many
// goroutines as there are calls; at most abi.MaxOpenCalls are open at once.
// During initialisation every call is refused.
package fetch

import (
	"context"
	"io"
	"math"
	"strconv"
	"time"

	"spore/abi"
	"spore/guest"
	"spore/guest/internal/sys"
)

// Request is one outbound call. It is not changed, and free again when Do or
// Start returns.
type Request struct {
	Method  string // empty means GET
	URL     string // absolute, http or https
	Headers guest.Pairs
	Body    []byte        // at most abi.MaxBody
	Timeout time.Duration // of the whole call, body included; zero means until the event's deadline
}

// Response is a whole answer. Header names are in lower case.
type Response struct {
	Status  int
	Headers guest.Pairs
	Body    []byte
}

// Get calls url with method GET.
func Get(ctx context.Context, url string, headers ...guest.Pair) (*Response, error) {
	return Do(ctx, &Request{URL: url, Headers: headers})
}

// Do makes the call and reads the whole answer; a body over abi.MaxBody is an
// error. guest.KindOf tells why there is no answer, and when ctx ended first the
// error wraps ctx's. Error texts name the method and the URL without its query.
func Do(ctx context.Context, req *Request) (*Response, error) {
	return do(ctx, req, sys.HTTPStart)
}

func do(ctx context.Context, req *Request, start func(frame []byte) int32) (*Response, error) {
	s, err := open(ctx, req, start)
	if err != nil {
		return nil, err
	}
	defer s.Body.Close()
	body, err := io.ReadAll(io.LimitReader(s.Body, abi.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > abi.MaxBody {
		return nil, &sys.Error{Op: describe(req), Kind: abi.TooLarge, Detail: "the answer's body" + overLimit}
	}
	return &Response{Status: s.Status, Headers: s.Headers, Body: body}, nil
}

var overLimit = " is over the limit of " + strconv.Itoa(abi.MaxBody) + " bytes"

// encode returns req's frame.
func encode(req *Request) ([]byte, error) {
	if len(req.Body) > abi.MaxBody {
		return nil, &sys.Error{Op: describe(req), Kind: abi.TooLarge, Detail: "the request's body" + overLimit}
	}
	if req.Timeout < 0 {
		return nil, &sys.Error{Op: describe(req), Kind: abi.Deadline, Detail: "the timeout is negative"}
	}
	return abi.AppendHTTPRequest(nil, &abi.HTTPRequest{
		Method:    req.Method,
		URL:       req.URL,
		Headers:   req.Headers,
		TimeoutMS: milliseconds(req.Timeout),
		Body:      req.Body,
	}), nil
}

// milliseconds rounds up: a short timeout must not become zero, which means none.
func milliseconds(d time.Duration) uint32 {
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	return uint32(min(ms, math.MaxUint32))
}
