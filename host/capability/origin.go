package capability

import (
	"net/netip"
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
	host, ok := canonicalHost(u)
	if !ok {
		return nil, none, invalid("the URL has no usable host; write a full name, or an IP address in its usual form")
	}
	port, ok := canonicalPort(u)
	if !ok {
		return nil, none, invalid("the URL has a port that is not 1 to 65535")
	}
	return u, function.Origin{Scheme: u.Scheme, Host: host, Port: port}, nil
}

// canonicalHost returns the host in lower case. Some resolvers read a name that
// ends in a number as an IPv4 address in decimal, octal or hexadecimal (WHATWG
// URL section 3.5), so such a host must be one in dotted decimal.
func canonicalHost(u *url.URL) (string, bool) {
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		return addr.String(), err == nil && addr.Is6() && addr.Zone() == ""
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isHostLabel(label) {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		addr, err := netip.ParseAddr(host)
		return host, err == nil && addr.Is4()
	}
	return host, len(host) <= 253
}

// isHostLabel follows RFC 1123, and lets the underscore through that container
// networks put into names. s is in lower case.
func isHostLabel(s string) bool {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' }
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, other)
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
