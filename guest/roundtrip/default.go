package roundtrip

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"spore/guest/internal/sys"
)

// takeDefault has the host make the calls of http.DefaultTransport. What another package
// has wrapped it in, when it was initialised before, reaches nothing and is replaced.
func takeDefault() {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		http.DefaultTransport = Transport{}
		return
	}
	take(t)
}

// take has the host make the calls of t. In place of t another transport would not
// do: packages that are initialised before this one may hold t already. A clone has
// the dialer and none of the protocols.
func take(t *http.Transport) {
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // no HTTP/2, which would register https
	t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, sys.ErrClone }
	t.RegisterProtocol("http", Transport{})
	t.RegisterProtocol("https", Transport{})
}
