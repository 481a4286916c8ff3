package function

import (
	"net/netip"
	"strings"
)

// Origin is a scheme, a host name or IP literal in lower case, and a port.
type Origin struct {
	Scheme string // "http" or "https"
	Host   string
	Port   string // never empty: 80 or 443 when the URL named none
}

// String returns the origin as a URL, without the scheme's own port.
func (o Origin) String() string {
	host := o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.Scheme == "http" && o.Port == "80" || o.Scheme == "https" && o.Port == "443" {
		return o.Scheme + "://" + host
	}
	return o.Scheme + "://" + host + ":" + o.Port
}

// CanonicalHost returns host, a name or an IP address with IPv6 in brackets, as
// Origin has it; ok is false when it is neither. A host that ends in a number is
// an IPv4 address to some parsers (WHATWG URL section 3.5), so it must be one in
// the dotted form all parsers agree on.
func CanonicalHost(host string) (canonical string, ok bool) {
	if v6, bracket := strings.CutPrefix(host, "["); bracket {
		v6, bracket = strings.CutSuffix(v6, "]")
		addr, err := netip.ParseAddr(v6)
		return addr.String(), bracket && err == nil && addr.Is6() && addr.Zone() == ""
	}
	host = strings.ToLower(host)
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
