package state

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"spore/abi"
)

// cluster is a NATS server with a listener, as somebody else runs it.
func cluster(t *testing.T, jetStream bool) *server.Server {
	t.Helper()
	opt := serverOptions(t.TempDir())
	opt.JetStream = jetStream
	return clusterWith(t, opt)
}

func clusterWith(t *testing.T, opt *server.Options) *server.Server {
	t.Helper()
	opt.DontListen, opt.Host, opt.Port, opt.NoLog = false, "127.0.0.1", server.RANDOM_PORT, true
	s, err := server.NewServer(opt)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

// TestTwoHostsOnOneCluster share what they keep.
func TestTwoHostsOnOneCluster(t *testing.T) {
	url, ctx := cluster(t, true).ClientURL(), t.Context()
	a, b := bucket(t, open(t, Options{URL: url}), "f", 1<<20), bucket(t, open(t, Options{URL: url}), "f", 1<<20)
	revision, err := a.Update(ctx, "k", []byte("from a"), time.Hour, 0)
	require.NoError(t, err)
	_, err = b.Update(ctx, "k", []byte("from b"), time.Hour, 0)
	requireKind(t, abi.Conflict, err)
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "from a", string(e.Value))
	require.Equal(t, revision, e.Revision)
	_, err = b.Update(ctx, "k", []byte("from b"), 0, revision)
	require.NoError(t, err)
	requireKind(t, abi.Conflict, a.Delete(ctx, "k", revision))
}

func TestClustersThatCannotBeUsed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "nats://user:s3cret@" + l.Addr().String()
	require.NoError(t, l.Close())
	_, err = Open(t.Context(), Options{URL: nobody})
	requireKind(t, abi.Unavailable, err)
	require.ErrorContains(t, err, "start it, or correct nats under [host] in functions.toml")
	require.NotContains(t, err.Error(), "s3cret")
	_, err = Open(t.Context(), Options{URL: cluster(t, false).ClientURL()})
	requireKind(t, abi.Unavailable, err)
	require.ErrorContains(t, err, "must run with JetStream")
}

func TestAClusterThatTakesSmallMessages(t *testing.T) {
	opt := serverOptions(t.TempDir())
	opt.MaxPayload = 64 << 10
	b, ctx := bucket(t, open(t, Options{URL: clusterWith(t, opt).ClientURL()}), "f", 1<<20), t.Context()
	_, err := b.Put(ctx, "k", make([]byte, 64<<10), 0)
	requireKind(t, abi.TooLarge, err)
	require.ErrorContains(t, err, "raise its max_payload")
	_, err = b.Put(ctx, "k", make([]byte, 60<<10), 0)
	require.NoError(t, err)
}

// tap passes connections on to a server until it is shut: then what is sent stays
// unanswered.
type tap struct {
	mu   sync.Mutex
	shut bool
}

func (p *tap) Read(from net.Conn) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		n, err := from.Read(b)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.shut {
			return 0, io.EOF // and the connection stays open
		}
		return n, err
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

func tapped(t *testing.T, address string) (*tap, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &tap{}
	var open []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", address)
			if err != nil {
				t.Errorf("%v", err)
				return
			}
			open = append(open, client, up)
			wg.Go(func() { _, _ = io.Copy(up, client) })
			wg.Go(func() { _, _ = io.Copy(client, readFunc(p.Read(up))) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		for _, c := range open {
			c.Close()
		}
		wg.Wait()
	})
	return p, "nats://" + l.Addr().String()
}

// silent returns a bucket with a key "k", on a cluster that has stopped to say anything.
func silent(t *testing.T) *Bucket {
	p, url := tapped(t, cluster(t, true).Addr().String())
	b := bucket(t, open(t, Options{URL: url}), "f", 1<<20)
	_, err := b.Put(t.Context(), "k", nil, 0)
	require.NoError(t, err)
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	return b
}

// TestAStoreThatDoesNotAnswer ends every operation at its deadline.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	b := silent(t)
	for name, do := range map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, err := b.Get(ctx, "k"); return err },
		"put":    func(ctx context.Context) error { _, err := b.Put(ctx, "k", nil, 0); return err },
		"update": func(ctx context.Context) error { _, err := b.Update(ctx, "k", nil, 0, 0); return err },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "k", 0) },
		"list":   func(ctx context.Context) error { _, _, err := b.List(ctx, "", "", 0); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		requireKind(t, abi.Deadline, do(ctx), name)
		cancel()
	}
}

// TestReopeningKeepsNobodyWaiting: a cluster that takes connections and says nothing is
// waited for no longer than the operation has.
func TestReopeningKeepsNobodyWaiting(t *testing.T) {
	b := silent(t)
	breakOff(b)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := b.Get(ctx, "k")
		cancel()
		requireKind(t, abi.Deadline, err)
	}
}

// TestWhoseTimeIsOverDoesNotKeepTheStoreClosed: the cluster is reached again whoever
// asked for it first.
func TestWhoseTimeIsOverDoesNotKeepTheStoreClosed(t *testing.T) {
	b := bucket(t, open(t, Options{URL: cluster(t, true).ClientURL()}), "f", 1<<20)
	_, err := b.Put(t.Context(), "k", nil, 0)
	require.NoError(t, err)
	breakOff(b)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Get(over, "k")
	requireKind(t, abi.Deadline, err)
	_, err = b.Get(t.Context(), "k")
	require.NoError(t, err)
}

// TestWhatIsOverIsNoReason for the end of a connection that was made after it.
func TestWhatIsOverIsNoReason(t *testing.T) {
	b := bucket(t, open(t, Options{URL: cluster(t, true).ClientURL()}), "f", 1<<20)
	_, err := b.Put(t.Context(), "k", nil, 0)
	require.NoError(t, err)
	breakOff(b)
	require.NotEqual(t, errBroken, b.state.whyClosed())
	_, err = b.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, errBroken, b.state.whyClosed())
}

// TestABucketThatSomebodyDeleted from the cluster fails one operation, which notices, and
// is made again for the next.
func TestABucketThatSomebodyDeleted(t *testing.T) {
	b := bucket(t, open(t, Options{URL: cluster(t, true).ClientURL()}), "f", 1<<20)
	for name, do := range map[string]func() error{
		"get":    func() error { _, err := b.Get(t.Context(), "k"); return err },
		"put":    func() error { _, err := b.Put(t.Context(), "k", nil, 0); return err },
		"update": func() error { _, err := b.Update(t.Context(), "k", nil, 0, 0); return err },
		"delete": func() error { return b.Delete(t.Context(), "k", 0) },
		"list":   func() error { _, _, err := b.List(t.Context(), "", "", 0); return err },
	} {
		_, err := b.Put(t.Context(), "other", nil, 0)
		require.NoError(t, err)
		require.NoError(t, b.handle.of.js.DeleteStream(t.Context(), "KV_spore-f"))
		err = do()
		requireKind(t, abi.Unavailable, err, name)
		require.ErrorContains(t, err, "deleted", name)
		if err := do(); name == "get" {
			requireKind(t, abi.NotFound, err)
		} else {
			require.NoError(t, err, name)
		}
	}
}

// TestAClusterThatGoesAway is named as that, in answers and in the log.
func TestAClusterThatGoesAway(t *testing.T) {
	server := cluster(t, true)
	lines := make(chan string, 100)
	log := slog.New(slog.NewTextHandler(writeFunc(func(p []byte) (int, error) {
		lines <- string(p)
		return len(p), nil
	}), nil))
	b := bucket(t, open(t, Options{URL: server.ClientURL(), Log: log}), "f", 1<<20)
	_, err := b.Put(t.Context(), "k", nil, 0)
	require.NoError(t, err)
	server.Shutdown()
	select {
	case line := <-lines:
		require.Contains(t, line, "the connection to the cluster is lost")
	case <-time.After(10 * time.Second):
		t.Fatal("no word in the log")
	}
	_, err = b.Get(t.Context(), "k")
	requireKind(t, abi.Unavailable, err)
	require.ErrorContains(t, err, "the connection to the cluster is lost")
	_, err = b.Put(t.Context(), "k", nil, 0)
	require.ErrorContains(t, err, "the connection to the cluster is lost")
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// breakOff ends b's connection, and lets the time pass until it may be made again.
func breakOff(b *Bucket) {
	broken := b.handle.of
	broken.nc.Close()
	<-broken.ended
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	b.state.failed = time.Time{}
}
