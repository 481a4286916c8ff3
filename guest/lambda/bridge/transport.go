package bridge

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"spore/guest/internal/sys"
	"spore/guest/roundtrip"
)

// address is where Lambda has its Runtime API. Nothing listens there: dial
// connects to it within the process.
const address = "127.0.0.1:9001"

// newTransport returns a transport whose calls the host makes, except those to
// api. It is an *http.Transport, because aws-lambda-go and others take
// http.DefaultTransport for one and clone it. A clone has the dialer and none of
// the protocols, so the one that aws-lambda-go makes dials api.
func newTransport(api *runtimeAPI) *http.Transport {
	t := &http.Transport{
		DialContext:  api.dial,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2, which would register https
	}
	t.RegisterProtocol("http", outbound{})
	t.RegisterProtocol("https", outbound{})
	return t
}

func (a *runtimeAPI) dial(_ context.Context, _, to string) (net.Conn, error) {
	if to != address {
		return nil, sys.ErrClone
	}
	client, server := net.Pipe()
	go a.serve(server)
	return client, nil
}

type outbound struct{}

func (outbound) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == address { // from an older aws-lambda-go, which does not clone
		return nil, http.ErrSkipAltProtocol
	}
	return roundtrip.Transport{}.RoundTrip(req)
}
