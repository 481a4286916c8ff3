package capability

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"spore/abi"
	"spore/host/function"
)

// HTTPOptions are the settings of outbound calls. Zero means the default.
type HTTPOptions struct {
	UserAgent string // sent with every call; "spore"
	// Resolve returns the addresses of a host name; the system's resolver.
	Resolve     func(ctx context.Context, host string) ([]netip.Addr, error)
	MaxBody     int64 // of an answer, in bytes; abi.MaxBody
	PerFunction int   // calls open at once for one function; 128
	Total       int   // calls open at once for all functions, and half the connections; 512
}

// HTTP makes outbound calls for all functions and keeps their connections.
type HTTP struct {
	options HTTPOptions
	public  *network
	private *network
	open    chan struct{} // one element for each open call

	connections connections

	mu    sync.Mutex
	pools map[pool]*http.Transport // made at the first grant; they stay, empty after 30 s without calls
}

// pool is what one function keeps connections in, all its versions together. No two
// functions share any: an upstream may know a caller by the connection, as with NTLM, and
// what one has made an upstream send too much would be another's answer.
type pool struct {
	function string
	way      *network
}

// NewHTTP returns an HTTP with no connections yet.
func NewHTTP(o HTTPOptions) *HTTP {
	if o.UserAgent == "" {
		o.UserAgent = "spore"
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.MaxBody == 0 {
		o.MaxBody = abi.MaxBody
	}
	if o.PerFunction == 0 {
		o.PerFunction = 128
	}
	if o.Total == 0 {
		o.Total = 512
	}
	h := &HTTP{options: o, open: make(chan struct{}, o.Total), pools: map[pool]*http.Transport{}}
	h.connections.most, h.connections.sweep = 2*int64(o.Total), h.Close
	h.public = newNetwork(false, o.Resolve, &h.connections)
	h.private = newNetwork(true, o.Resolve, &h.connections)
	return h
}

// Close closes the connections no call is using.
func (h *HTTP) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, transport := range h.pools {
		transport.CloseIdleConnections()
	}
}

func (h *HTTP) transport(p pool) *http.Transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pools[p] == nil {
		h.pools[p] = p.way.newTransport()
	}
	return h.pools[p]
}

// For returns what spec's function may call. The limit PerFunction holds for
// each returned value by itself.
func (h *HTTP) For(spec function.Spec) *FunctionHTTP {
	f := &FunctionHTTP{http: h, name: spec.Name, grants: map[function.Origin]*http.Transport{}}
	f.open = places{own: make(chan struct{}, h.options.PerFunction), all: h.open, function: spec.Name, what: "outbound calls"}
	for _, origin := range spec.HTTP {
		f.grants[origin] = h.transport(pool{spec.Name, h.public})
	}
	for _, origin := range spec.HTTPPrivate {
		f.grants[origin] = h.transport(pool{spec.Name, h.private})
	}
	return f
}

// FunctionHTTP makes the outbound calls of one function.
type FunctionHTTP struct {
	http   *HTTP
	name   string
	grants map[function.Origin]*http.Transport
	open   places
}

// Do makes one call and returns when the answer's head is there, or the reason
// why there is none. Redirects are answers like any other. ctx ends the call,
// reading the body included; req.TimeoutMS may end it sooner. req and its bytes
// are Do's to keep.
//
// The body is never nil and must be closed: until then the call counts as open.
// A body that does not end well ends with a *function.Error, TooLarge when it
// is over the limit. Close may be called during a Read, which it ends, and more
// than once. Calls of Do may overlap.
func (f *FunctionHTTP) Do(ctx context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
	out, way, err := f.prepare(req)
	if err != nil {
		return refusal(err, out)
	}
	release, err := f.open.take()
	if err != nil {
		return refusal(err, out)
	}
	ctx, cancel := narrow(ctx, req.TimeoutMS)
	end := func() { cancel(); release() }
	res, err := way.RoundTrip(out.WithContext(withCall(ctx)))
	if err != nil {
		err = explain(ctx, err)
		end()
		return refusal(err, out)
	}
	b := &body{ctx: ctx, from: res.Body, limit: f.http.options.MaxBody, left: f.http.options.MaxBody, end: end}
	head := abi.HTTPHead{Status: uint32(res.StatusCode), Headers: responseHeader(res.Header)}
	if err := f.check(res, head); err != nil {
		b.Close()
		return refusal(err, out)
	}
	return head, b
}

func narrow(ctx context.Context, timeoutMS uint32) (context.Context, context.CancelFunc) {
	if timeoutMS == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(timeoutMS)*time.Millisecond)
}

// check refuses answers that do not fit into version 1 of the ABI.
func (f *FunctionHTTP) check(res *http.Response, head abi.HTTPHead) error {
	switch {
	case head.Status < 200 || head.Status > 999:
		return &function.Error{Kind: abi.Unavailable, Err: fmt.Errorf("the answer has status %d", res.StatusCode)}
	case len(head.Headers) > abi.MaxPairs:
		return &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the answer has more than %d headers", abi.MaxPairs)}
	case res.ContentLength > f.http.options.MaxBody && res.Request.Method != http.MethodHead:
		return tooLarge(f.http.options.MaxBody)
	}
	return nil
}
