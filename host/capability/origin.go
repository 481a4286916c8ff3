package capability

import (
	"net/url"
	"strconv"
	"strings"

	"spore/host/function"
)

// parseURL reads the URL of a call and returns it with its origin. What other
// parsers could read as another host is refused, not interpreted: the URL is
// parsed here and nowhere else.
func parseURL(raw string) (*url.URL, function.Origin, error) {
	var none function.Origin
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, none, invalid("the URL has a space, a backslash, a control character or is not ASCII; percent-encode it")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, none, invalid("the URL cannot be parsed") // the cause repeats the URL, which may hold a secret
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, none, invalid("the URL must begin with http:// or https://")
	case u.User != nil:
		return nil, none, invalid("the URL has user information; send an authorization header instead")
	case strings.Contains(raw, "#"):
		return nil, none, invalid("the URL has a fragment, which is never sent; remove it")
	}
	host, ok := function.CanonicalHost(strings.TrimSuffix(strings.TrimSuffix(u.Host, u.Port()), ":"))
	if !ok {
		return nil, none, invalid("the URL has no usable host; write a full name, or an IP address in its usual form")
	}
	port, ok := canonicalPort(u)
	if !ok {
		return nil, none, invalid("the URL has a port that is not 1 to 65535")
	}
	return u, function.Origin{Scheme: u.Scheme, Host: host, Port: port}, nil
}

func canonicalPort(u *url.URL) (string, bool) {
	port := u.Port()
	switch {
	case strings.HasSuffix(u.Host, ":"):
		return "", false
	case port == "" && u.Scheme == "http":
		return "80", true
	case port == "":
		return "443", true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return port, err == nil && n > 0 && port[0] != '0'
}
