package capability

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Bounds on reaching a host. The call's own deadline holds as well.
const (
	resolveTimeout   = 5 * time.Second
	connectTimeout   = 5 * time.Second // per address
	handshakeTimeout = 5 * time.Second
	maxAddresses     = 64 // in one answer of the resolver
)

// readAhead is how many bytes an HTTP/2 upstream may send that nobody has read yet, for
// each call: 10 MB a second come over a way of 50 ms. Go's own 4 MiB were 262 in the
// host for the 64 calls of one sandbox.
const readAhead = 512 << 10

// silence is how long an HTTP/2 connection may say nothing before it is asked whether it
// is alive, and to that. Calls that run out of time do not end it, and share it: one that
// died on the way was every call's for as long as the kernel sends again, 15 minutes.
const silence = 10 * time.Second

// network is one of the two ways out: one dials public addresses, the other
// private ones too.
type network struct {
	private bool
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	tls     *tls.Config

	connections *connections
}

func newNetwork(private bool, resolve func(context.Context, string) ([]netip.Addr, error), c *connections) *network {
	n := &network{private: private, resolve: resolve, connections: c}
	n.connect = n.dialAddress
	n.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return n
}

// newTransport returns a pool of connections, with none yet.
func (n *network) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // an environment variable must not redirect guests
		DialContext:            n.dial,
		DialTLSContext:         n.dialTLS,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a guest gets the bytes as sent; nothing is inflated here
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: readAhead, SendPingTimeout: silence, PingTimeout: silence},
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        30 * time.Second,
	}
}

// callKey is the context key under which a call's own context goes into its
// dials. The transport lets a dial outlive its call; ours end with it, so that
// calls given up do not pile up connections being made.
type callKey struct{}

func withCall(ctx context.Context) context.Context {
	return context.WithValue(ctx, callKey{}, ctx)
}

func callOf(ctx context.Context) context.Context {
	if call, ok := ctx.Value(callKey{}).(context.Context); ok {
		return call
	}
	return ctx
}

// dial connects to one of the addresses behind host. The name is resolved once,
// every address is judged, and what is dialled is an address that was judged:
// a second answer of the name server cannot come in between.
func (n *network) dial(ctx context.Context, _, hostPort string) (net.Conn, error) {
	ctx = callOf(ctx)
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := n.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	return n.connections.count(func() (net.Conn, error) { return n.connectAny(ctx, addrs, uint16(port)) })
}

// connectAny connects to the first of addrs that can be reached.
func (n *network) connectAny(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	var failed error
	for _, addr := range addrs {
		conn, err := n.connect(ctx, netip.AddrPortFrom(addr, port))
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func (n *network) dialTLS(ctx context.Context, network, hostPort string) (net.Conn, error) {
	conn, err := n.dial(ctx, network, hostPort)
	if err != nil {
		return nil, err
	}
	config := n.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(hostPort)
	secure := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(callOf(ctx), handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// addresses returns the addresses of host, all of them permitted. One that is
// not spoils the answer: nobody mixes public and private addresses honestly.
func (n *network) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := n.lookUp(ctx, host)
	switch {
	case err != nil:
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	case len(addrs) == 0:
		return nil, fmt.Errorf("resolve %s: no addresses", host)
	case len(addrs) > maxAddresses:
		return nil, fmt.Errorf("resolve %s: more than %d addresses", host, maxAddresses)
	}
	for _, addr := range addrs {
		if err := n.permit(addr); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

func (n *network) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	return n.resolve(ctx, host)
}

// permit judges one address.
func (n *network) permit(addr netip.Addr) error {
	switch {
	case isMetadata(addr):
		return denied("%v is a cloud metadata address, which no grant opens", addr)
	case !n.private && !isPublic(addr):
		return denied("%v is not a public address; if it is meant, grant the origin in http_private", addr)
	}
	return nil
}

// dialAddress connects to addr. The judgement is repeated on the address the
// socket is about to connect to, the last place where it can be.
func (n *network) dialAddress(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout: connectTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return n.permit(to.Addr())
		},
	}
	return dialer.DialContext(ctx, "tcp", addr.String())
}
