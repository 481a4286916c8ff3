package capability

import (
	"net/netip"
	"slices"
)

// notPublic are the IPv4 blocks where a public host cannot be: those that the
// IANA IPv4 Special-Purpose Address Registry does not call globally reachable,
// the retired 6to4 relays, multicast and class E.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// IPv6 is the other way round: public hosts are in one block, with exceptions
// (IANA IPv6 Special-Purpose Address Registry).
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	notPublic6    = prefixes("2001::/23", "2001:db8::/32", "3fff::/20")
)

// metadata are the addresses at which clouds hand out credentials to whoever
// asks from inside the machine. No grant opens them.
var metadata = prefixes(
	"169.254.169.254/32", // AWS, Google, Azure and most others
	"169.254.170.2/32",   // AWS container credentials
	"169.254.170.23/32",  // AWS pod identity
	"100.100.100.200/32", // Alibaba
	"168.63.129.16/32",   // Azure's wire server, although not special otherwise
	"192.0.0.192/32",     // Oracle
	"169.254.0.23/32",    // Tencent
	"169.254.42.42/32",   // Scaleway
	"fd00:42::42/128",    // Scaleway over IPv6
	"100.96.0.96/32",     // Volcengine
	"fd00:ec2::/64",      // AWS over IPv6: fd00:ec2::254, and ::23 for pods
	"fd20:ce::254/128",   // Google over IPv6
)

// carriers are IPv6 blocks whose addresses stand for an IPv4 address, with the
// position of its four bytes.
var carriers = []struct {
	prefix netip.Prefix
	at     int
	flip   byte // each byte is XORed with this
}{
	{netip.MustParsePrefix("::/96"), 12, 0},           // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, 0}, // IPv4-translated, RFC 2765
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},    // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2, 0},        // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 12, 0xff},    // Teredo's client, RFC 4380
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// isPublic reports whether packets to addr go to the public internet.
func isPublic(addr netip.Addr) bool {
	addr = destination(addr)
	if addr.Is4() {
		return !within(addr, notPublic)
	}
	return globalUnicast.Contains(addr) && !within(addr, notPublic6)
}

// isMetadata reports whether addr is a cloud's metadata service.
func isMetadata(addr netip.Addr) bool { return within(destination(addr), metadata) }

// destination returns the IPv4 address that addr stands for, or addr itself. It
// drops the zone, with which an address is in no prefix at all.
func destination(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("").Unmap()
	if addr.Is4() {
		return addr
	}
	bytes := addr.As16()
	for _, c := range carriers {
		if c.prefix.Contains(addr) {
			v4 := [4]byte(bytes[c.at:])
			for i := range v4 {
				v4[i] ^= c.flip
			}
			return netip.AddrFrom4(v4)
		}
	}
	return addr
}

func within(addr netip.Addr, blocks []netip.Prefix) bool {
	return slices.ContainsFunc(blocks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
