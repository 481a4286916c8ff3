package capability

import (
	"net/http"
	"slices"
	"strings"

	"spore/abi"
	"spore/host/function"
)

// hostsHeader reports whether the host alone decides about a request header,
// given in lower case. Those a guest sends are dropped without a word, because
// ordinary HTTP libraries add them by themselves:
//
//   - host and content-length follow from the URL and the body;
//   - user-agent names the operator, who answers for the traffic;
//   - the others are about the connection (RFC 9110 section 7.6.1), which is
//     shared and not the guest's.
func hostsHeader(name string) bool {
	switch name {
	case "host", "content-length", "user-agent",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "http2-settings":
		return true
	}
	return strings.HasPrefix(name, "proxy-")
}

// requestHeader checks a guest's headers and leaves out those of the host.
func requestHeader(pairs abi.Pairs, userAgent string) (http.Header, error) {
	h := make(http.Header, len(pairs)+1)
	for _, p := range pairs {
		switch {
		case !function.IsToken(p.Name):
			return nil, invalid("%s is not a header name", function.Quoted(p.Name))
		case !function.IsFieldValue(p.Value):
			return nil, invalid("the value of header %s has a control character", function.Quoted(p.Name))
		case !hostsHeader(strings.ToLower(p.Name)):
			h.Add(p.Name, p.Value)
		}
	}
	h.Set("User-Agent", userAgent)
	return h, nil
}

// responseHeader returns an answer's headers in lower case, sorted by name.
func responseHeader(h http.Header) abi.Pairs {
	var pairs abi.Pairs
	for name, values := range h {
		for _, value := range values {
			pairs = append(pairs, abi.Pair{Name: strings.ToLower(name), Value: value})
		}
	}
	// Stable: the values of one name keep their order.
	slices.SortStableFunc(pairs, func(a, b abi.Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}
