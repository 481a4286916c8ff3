package roundtrip

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

// TestATransportThatIsTakenStays holds for clients that have http.DefaultTransport
// before it is taken, as those of packages that are initialised first do.
func TestATransportThatIsTakenStays(t *testing.T) {
	theirs := http.DefaultTransport.(*http.Transport).Clone()
	theirs.TLSNextProto = nil // as in a program that has made no call yet
	client := &http.Client{Transport: theirs}
	take(theirs)
	for _, url := range []string{"http://example.org/", "https://example.org/"} {
		_, err := client.Get(url)
		require.Equal(t, guest.Denied, guest.KindOf(err), "%s: %v", url, err) // there is no host
		_, err = (&http.Client{Transport: theirs.Clone()}).Get(url)
		require.ErrorContains(t, err, "use a roundtrip.Transport")
	}
}

// TestATransportOfAnotherKindIsReplaced: a package that is initialised before may have
// put its own in the place of http.DefaultTransport.
func TestATransportOfAnotherKindIsReplaced(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = struct{ http.RoundTripper }{before}
	takeDefault()
	_, err := http.Get("http://example.org/")
	require.Equal(t, guest.Denied, guest.KindOf(err), "%v", err) // there is no host
}
