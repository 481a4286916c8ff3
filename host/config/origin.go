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
	host, ok = function.CanonicalHost(host)
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
