package capability

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// publicHost is the address of everything that may be reached in these tests.
const publicHost = "93.184.215.14"

// hostile is an internet whose resolver is as obliging as getaddrinfo: a name
// nobody registered, however odd, is the loopback address.
func hostile(t *testing.T) *internet {
	net := newInternet()
	net.host("example.com", publicHost)
	net.host("example.org", publicHost)
	net.host("hooks.example.org", publicHost)
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, at := range []string{publicHost + ":80", "8.8.8.8:80", "11.0.0.1:80"} {
		net.serve(t, at, ok)
	}
	return net
}

func (i *internet) resolveOddly(ctx context.Context, host string) ([]netip.Addr, error) {
	if addrs, err := i.resolve(ctx, host); err == nil {
		return addrs, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// mostGenerous grants whatever origin another parser may see in raw.
func mostGenerous(raw string) function.Spec {
	spec := function.Spec{Name: "f"}
	grant := func(scheme, host, port string) {
		spec.HTTP = append(spec.HTTP, function.Origin{Scheme: scheme, Host: strings.ToLower(host), Port: port})
	}
	_, rest, _ := strings.Cut(raw, "://")
	hosts := []string{"127.0.0.1", "localhost", "example.com", rest, strings.Trim(rest, "/[]")}
	if u, err := url.Parse(raw); err == nil {
		hosts = append(hosts, u.Hostname(), u.Host)
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			hosts = append(hosts, addr.String())
		}
	}
	for _, host := range hosts {
		for _, port := range []string{"80", "443", "", "0", "080", "99999"} {
			grant("http", host, port)
			grant("https", host, port)
		}
	}
	return spec
}

func TestSSRFTable(t *testing.T) {
	file, err := os.Open("testdata/ssrf_urls.txt")
	require.NoError(t, err)
	defer file.Close()
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		rows++
		f := strings.Split(lines.Text(), "\t")
		require.Len(t, f, 4)
		verdict, how, note := f[0], f[1], f[3]
		input, err := strconv.Unquote(`"` + f[2] + `"`)
		require.NoError(t, err)
		t.Run(how+" "+f[2], func(t *testing.T) { ssrfRow(t, verdict, how, input, note) })
	}
	require.Equal(t, 27, rows)
}

func ssrfRow(t *testing.T, verdict, how, input, note string) {
	net := hostile(t)
	h := net.http(t, HTTPOptions{})
	h.public.resolve = net.resolveOddly
	f := h.For(mostGenerous(input))
	switch how {
	case "dns":
		net.answer(t, input, note)
		f = h.For(public(t, input))
	case "redir":
		net.serve(t, publicHost+":80", http.RedirectHandler(input, http.StatusFound))
		f = h.For(public(t, "http://example.com"))
		head, _, err := get(t, f, "http://example.com/")
		require.NoError(t, err)
		require.EqualValues(t, http.StatusFound, head.Status)
		require.Equal(t, input, head.Headers.Get("location"))
		require.Equal(t, []string{publicHost + ":80"}, net.dialled)
	case "grant":
		f = h.For(public(t, "https://hooks.example.org"))
		h.public.tls.RootCAs = net.serveTLS(t, publicHost+":443", "hooks.example.org", http.NotFoundHandler())
	}

	head, _, _ := get(t, f, input)
	for _, dialled := range net.dialled {
		require.True(t, isPublic(netip.MustParseAddrPort(dialled).Addr()), "dialled %s", dialled)
	}
	if verdict == "allow" {
		require.Equal(t, abi.None, head.Kind, head.Message)
		return
	}
	require.Equal(t, "block", verdict)
	if note == "first answer public, second answer 127.0.0.1" {
		require.Equal(t, abi.Unavailable, head.Kind, head.Message) // nobody listens at the public address
		head, _, _ = get(t, f, input)
	}
	require.Contains(t, []abi.Kind{abi.Denied, abi.Invalid}, head.Kind, head.Message)
	if how == "url" { // refused for what it is
		require.NotContains(t, head.Message, "not granted")
	}
}

// answer makes the host of a dns row resolve as its note says.
func (i *internet) answer(t *testing.T, input, note string) {
	t.Helper()
	host := origin(t, input).Host
	switch note {
	case "A 127.0.0.1":
		i.host(host, "127.0.0.1")
	case "first answer public, second answer 127.0.0.1":
		answers := []string{"93.184.215.99", "127.0.0.1"}
		i.hosts[host] = func() []netip.Addr {
			addr := netip.MustParseAddr(answers[0])
			answers = answers[min(1, len(answers)-1):]
			return []netip.Addr{addr}
		}
	default:
		t.Fatalf("unknown note %q", note)
	}
}

func TestMoreSpellingsAreRefusedBeforeAnyDial(t *testing.T) {
	for _, input := range []string{
		"http://017700000001/", "http://0x7f.0.0.1/", "http://0X7F.1/", "http://127.0.1/", "http://127.0.0.1./", "http://1/", "http://0/",
		"http://00127.0.0.1/", "http://127.0.0.0x1/", "http://256.0.0.1/", "http://1.2.3.4.5/", "http://4294967296/", "http://127.0.0.1.0x/",
		"http://[::]/", "http://[::127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:0:127.0.0.1]/",
		"http://[64:ff9b::7f00:1]/", "http://[64:ff9b::10.0.0.1]/", "http://[64:ff9b:1::8.8.8.8]/", "http://[2002:7f00:1::]/", "http://[2002:a00:1::1]/",
		"http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "http://[fe80::1%25lo]/", "http://[fe80::1%lo]/", "http://[::1%25]/", "http://[fd00::1]/",
		"http://[ff02::1]/", "http://[2001:db8::1]/", "http://[3fff::1]/", "http://[100::1]/", "http://[5f00::1]/", "http://[127.0.0.1]/", "http://[::1/", "http://::1/",
		"http://LOCALHOST/", "http://localhost./", "http://a.localhost/", "http://localhost:80/", "http://%6cocalhost/", "http://%31%32%37.0.0.1/",
		"http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/", "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/", "http://ex\u00e4mple.com/",
		"http://example.com\\@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://example.com/\\@127.0.0.1/", "http://example.com\t/", "http://example.com\r\n/", "http://exam\x00ple.com/", "http://example.com /",
		"http:\\\\127.0.0.1/", "http:/127.0.0.1/", "http:127.0.0.1/", "http:///127.0.0.1/", "http://", "http:", "//127.0.0.1/", "127.0.0.1", "",
		"http://user@example.com/", "http://:@example.com/", "http://@example.com/", "http://example.com#", "http://example.com/#x", "http://example.com:80#@127.0.0.1/",
		"http://example.com:0/", "http://example.com:080/", "http://example.com:99999/", "http://example.com:/", "http://example.com:-80/", "http://example.com:80:80/",
		"http://.example.com/", "http://example..com/", "http://-example.com/", "http://*.com/", "http://" + strings.Repeat("a", 64) + ".com/",
		"file:///etc/passwd", "gopher://127.0.0.1:70/", "ws://example.com/", "unix:///run/x.sock", "data:,x", "javascript:1", "httpx://example.com/", "jar:http://127.0.0.1/",
		"http://169.254.0.1/", "http://192.0.0.8/", "http://192.0.2.1/", "http://192.88.99.1/", "http://198.18.0.1/", "http://198.51.100.1/", "http://203.0.113.1/",
		"http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/", "http://172.31.255.255/", "http://100.127.255.255/", "http://168.63.129.16/",
	} {
		t.Run(strconv.QuoteToASCII(input), func(t *testing.T) {
			net := hostile(t)
			h := net.http(t, HTTPOptions{})
			h.public.resolve = net.resolveOddly
			head, _, _ := get(t, h.For(mostGenerous(input)), input)
			require.Contains(t, []abi.Kind{abi.Denied, abi.Invalid}, head.Kind, head.Message)
			require.NotContains(t, head.Message, "not granted")
			require.Empty(t, net.dialled)
		})
	}
}

func TestUsualSpellingsArePermitted(t *testing.T) {
	for _, test := range []struct{ url, dialled string }{
		{"http://example.com", publicHost + ":80"},
		{"HTTP://EXAMPLE.COM/", publicHost + ":80"},
		{"http://example.com:80/?q=%00", publicHost + ":80"},
		{"http://example.com//127.0.0.1/", publicHost + ":80"},
		{"http://[::ffff:8.8.8.8]/", "[::ffff:8.8.8.8]:80"},
		{"http://[2606:4700:4700:0:0::1111]/", "[2606:4700:4700::1111]:80"},
		{"http://[64:ff9b::808:808]/", "[64:ff9b::808:808]:80"},
		{"http://172.32.0.1/", "172.32.0.1:80"},
		{"http://100.128.0.1/", "100.128.0.1:80"},
		{"http://9.255.255.255/", "9.255.255.255:80"},
		{"http://223.255.255.255/", "223.255.255.255:80"},
	} {
		t.Run(test.url, func(t *testing.T) {
			net := hostile(t)
			net.serve(t, test.dialled, http.NotFoundHandler())
			head, _, err := get(t, net.http(t, HTTPOptions{}).For(mostGenerous(test.url)), test.url)
			require.NoError(t, err)
			require.Equal(t, abi.None, head.Kind, head.Message)
			require.Equal(t, []string{test.dialled}, net.dialled)
		})
	}
}

func TestNameServerAnswers(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("8.9.%d.%d", i>>8, i&0xff)
	}
	var dials []string
	for _, addr := range many[:maxAddresses] {
		dials = append(dials, addr+":80")
	}
	for _, test := range []struct {
		name  string
		addrs []string
		kind  abi.Kind
		dials []string
	}{
		{"only public addresses: the next one is tried", []string{"8.8.8.9", "8.8.8.8"}, abi.None, []string{"8.8.8.9:80", "8.8.8.8:80"}},
		{"a private address among public ones", []string{"8.8.8.8", "10.0.0.1"}, abi.Denied, nil},
		{"a loopback address with a zone", []string{"::1%lo"}, abi.Denied, nil},
		{"a mapped loopback address", []string{"::ffff:127.0.0.1"}, abi.Denied, nil},
		{"the metadata address", []string{"169.254.169.254"}, abi.Denied, nil},
		{"no addresses", nil, abi.Unavailable, nil},
		{"ten thousand addresses", many, abi.Unavailable, nil},
		{"many addresses where nobody listens", many[:maxAddresses], abi.Unavailable, dials},
		{"an address where nobody listens", []string{"8.8.8.9"}, abi.Unavailable, []string{"8.8.8.9:80"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			net := hostile(t)
			net.host("name.test", test.addrs...)
			head, _, _ := get(t, net.http(t, HTTPOptions{}).For(public(t, "http://name.test")), "http://name.test/")
			require.Equal(t, test.kind, head.Kind, head.Message)
			require.LessOrEqual(t, len(head.Message), 1000)
			require.Equal(t, test.dials, net.dialled)
			require.Equal(t, []string{"name.test"}, net.resolved)
		})
	}
}

func TestMetadataIsRefusedWhateverTheGrant(t *testing.T) {
	for _, addr := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
		"169.254.0.23", "169.254.42.42", "fd00:42::42", "100.96.0.96",
		"::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254", "fd00:ec2::254%eth0",
		"::ffff:0:169.254.169.254", "2001:0:4136:e378:8000:63bf:5601:5601",
	} {
		t.Run(addr, func(t *testing.T) {
			net := newInternet()
			net.host("name.test", addr)
			head, _, _ := get(t, net.http(t, HTTPOptions{}).For(private(t, "http://name.test")), "http://name.test/")
			require.Equal(t, abi.Denied, head.Kind)
			require.Contains(t, head.Message, "metadata")
			require.Empty(t, net.dialled)
		})
	}
}

func TestPrivateGrantReachesPrivateAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fe80::1%eth0", "8.8.8.8"} {
		t.Run(addr, func(t *testing.T) {
			net := newInternet()
			net.host("name.test", addr)
			at := netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String()
			net.serve(t, at, http.NotFoundHandler())
			h := net.http(t, HTTPOptions{})
			head, _, _ := get(t, h.For(private(t, "http://name.test")), "http://name.test/")
			require.EqualValues(t, http.StatusNotFound, head.Status, head.Message)

			// The kept connection is not lent to a function with a public grant.
			head, _, _ = get(t, h.For(public(t, "http://name.test")), "http://name.test/")
			require.Equal(t, addr == "8.8.8.8", head.Kind == abi.None, head.Message)
		})
	}
}

func TestSocketIsJudgedAgainBeforeItConnects(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	addr := netip.MustParseAddrPort(l.Addr().String())

	h := NewHTTP(HTTPOptions{})
	_, err = h.public.dialAddress(t.Context(), addr)
	require.Equal(t, abi.Denied, function.KindOf(err))
	conn, err := h.private.dialAddress(t.Context(), addr)
	require.NoError(t, err)
	defer conn.Close()

	// Only the second dial is in the listener's queue.
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	require.Equal(t, conn.LocalAddr().String(), accepted.RemoteAddr().String())
}

func TestOwnPortIsAnAddressLikeAnyOther(t *testing.T) {
	f, url := local(t, HTTPOptions{}, http.NotFoundHandler())
	head, _, _ := get(t, f.http.For(function.Spec{}), url)
	require.Equal(t, abi.Denied, head.Kind)
	head, _, _ = get(t, f.http.For(public(t, url)), url)
	require.Equal(t, abi.Denied, head.Kind)
	head, _, _ = get(t, f, url)
	require.Equal(t, abi.None, head.Kind)
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	// The variables themselves are read once in a process; no test can set them.
	h := NewHTTP(HTTPOptions{})
	require.Nil(t, h.public.newTransport().Proxy)
	require.Nil(t, h.private.newTransport().Proxy)
}

func TestOddSpellingsAreNotEvenLookedUp(t *testing.T) {
	for _, input := range []string{
		"http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0X7F000001/", "http://127.0.0.0x1/", "http://127.1/",
		"http://0177.0.0.1/", "http://1.2.3.4.5/", "http://127.0.0.1./", "http://[fe80::1%25lo]/", "http://[127.0.0.1]/", "http://[::1%25lo]/",
	} {
		t.Run(input, func(t *testing.T) {
			net := hostile(t)
			h := net.http(t, HTTPOptions{})
			head, _, _ := get(t, h.For(mostGenerous(input)), input)
			require.Equal(t, abi.Invalid, head.Kind, head.Message)
			require.Empty(t, net.resolved)
		})
	}
}
