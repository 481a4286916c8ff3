package config

import (
	"net/netip"
	"strconv"
	"strings"

	"spore/host/function"
)

// parseOrigin reads an outbound grant: scheme, host and perhaps a port, spelled
// in the one usual way. wrong says what is not so, and is empty otherwise.
func parseOrigin(s string) (o function.Origin, wrong, hint string) {
	const form = `write scheme and host alone, like "https://example.org"`
	if strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) {
		return o, "is not ASCII", "write the host in its xn-- form"
	}
	scheme, rest, _ := strings.Cut(s, "://")
	switch {
	case scheme != "http" && scheme != "https", rest == "":
		return o, "is not an http or https origin", form
	case strings.Contains(rest, "*"):
		return o, "has a wildcard", "grant each host by its name"
	case strings.Contains(rest, "@"):
		return o, "has user information", form
	case strings.ContainsAny(rest, "/?#"):
		return o, "has a path", form
	}
	host, port, ok := splitPort(rest)
	switch {
	case !ok:
		return o, "has a port that is not 1 to 65535", ""
	case port == "" && scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	host, ok = canonicalHost(host)
	if !ok {
		return o, "has no usable host", "write a full name, or an IP address in its usual form"
	}
	return function.Origin{Scheme: scheme, Host: host, Port: port}, "", ""
}

// splitPort cuts "host:port" and "[::1]:port"; brackets stay with the host.
func splitPort(s string) (host, port string, ok bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon < strings.LastIndexByte(s, ']') || colon < 0 {
		return s, "", true
	}
	host, port = s[:colon], s[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	return host, port, err == nil && n > 0 && port[0] != '0'
}

// canonicalHost returns host as function.Origin has it. A host that ends in a
// number is an IPv4 address to some parsers (WHATWG URL section 3.5), so it
// must be one in the dotted form all parsers agree on.
func canonicalHost(host string) (string, bool) {
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		addr, err := netip.ParseAddr(v6)
		return addr.String(), ok && err == nil && addr.Is6() && addr.Zone() == ""
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
// networks put into names.
func isHostLabel(s string) bool {
	other := func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' }
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, other)
}

// isPrivate reports whether host is plainly not a public one. It is a service
// to whoever writes the file; what is dialled is judged by package capability,
// address by address.
func isPrivate(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	return !addr.IsGlobalUnicast() || addr.IsPrivate() || shared.Contains(addr)
}
