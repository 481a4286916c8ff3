package capability

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// internet stands in for the network outside: it names hosts, and it leads
// dialled addresses to loopback listeners, keeping a list of them. Addresses
// without a listener refuse connections.
type internet struct {
	mu        sync.Mutex
	hosts     map[string]func() []netip.Addr
	listeners map[string]string // "8.8.8.8:80" -> address of a loopback listener
	dialled   []string
	resolved  []string
}

func newInternet() *internet {
	return &internet{hosts: map[string]func() []netip.Addr{}, listeners: map[string]string{}}
}

func (i *internet) host(name string, addrs ...string) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	i.hosts[name] = func() []netip.Addr { return list }
}

func (i *internet) serve(t *testing.T, at string, h http.Handler) {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	i.listeners[at] = server.Listener.Addr().String()
}

func (i *internet) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resolved = append(i.resolved, host)
	addrs, ok := i.hosts[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	return addrs(), nil
}

func (i *internet) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	i.mu.Lock()
	i.dialled = append(i.dialled, addr.String())
	to, ok := i.listeners[addr.String()]
	i.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("connect %v: connection refused", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to)
}

// http returns an HTTP whose two networks end in i.
func (i *internet) http(t *testing.T, o HTTPOptions) *HTTP {
	o.Resolve = i.resolve
	h := NewHTTP(o)
	h.public.connect, h.private.connect = i.connect, i.connect
	t.Cleanup(h.Close)
	return h
}

// origin reads an origin without judging it, as no configuration would.
func origin(t *testing.T, raw string) function.Origin {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	o := function.Origin{Scheme: u.Scheme, Host: u.Hostname(), Port: u.Port()}
	if o.Port == "" {
		o.Port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return o
}

func public(t *testing.T, origins ...string) function.Spec {
	t.Helper()
	spec := function.Spec{Name: "f"}
	for _, o := range origins {
		spec.HTTP = append(spec.HTTP, origin(t, o))
	}
	return spec
}

func private(t *testing.T, origins ...string) function.Spec {
	t.Helper()
	return function.Spec{Name: "f", HTTPPrivate: public(t, origins...).HTTP}
}

// local starts a server on loopback and returns a function granted to call it,
// over the real network.
func local(t *testing.T, o HTTPOptions, h http.Handler) (f *FunctionHTTP, url string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	calls := NewHTTP(o)
	t.Cleanup(calls.Close)
	return calls.For(private(t, server.URL)), server.URL
}

// raw starts a listener that handles each connection with serve, then closes it.
func raw(t *testing.T, serve func(net.Conn)) (f *FunctionHTTP, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	calls := NewHTTP(HTTPOptions{})
	t.Cleanup(func() {
		calls.Close()
		l.Close()
		open.Wait()
	})
	url = "http://" + l.Addr().String()
	return calls.For(private(t, url)), url
}

// within10s is a deadline that a passing test never meets.
func within10s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// get makes a call and reads the answer to its end.
func get(t *testing.T, f *FunctionHTTP, url string) (abi.HTTPHead, string, error) {
	t.Helper()
	head, body := f.Do(within10s(t), &abi.HTTPRequest{URL: url})
	defer body.Close()
	text, err := io.ReadAll(body)
	return head, string(text), err
}

// certificate makes a certificate for name and a pool that trusts it.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serveTLS is serve with TLS and HTTP/2, for name.
func (i *internet) serveTLS(t *testing.T, at, name string, h http.Handler) *x509.CertPool {
	t.Helper()
	cert, pool := certificate(t, name)
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	i.listeners[at] = server.Listener.Addr().String()
	return pool
}
