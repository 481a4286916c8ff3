// Package state holds what outlives a process and what hosts share: buckets of
// keys and values, in NATS JetStream. Open starts a JetStream of this process's
// own, in a directory and without a listening port, or connects to a cluster when
// it is given a URL; Bucket then names one function's keys.
//
// What was acknowledged is on disk: the store of this process syncs every write
// before it answers. A cluster's own settings decide for it. Errors are
// *function.Error, and those of the store itself say what to do about them.
//
// This is the only package that imports NATS.
package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spore/abi"
	"spore/host/function"
)

// Options say where state is kept. Directory or URL is set.
type Options struct {
	Directory string // of this process's own store; created when missing
	URL       string // of a NATS cluster with JetStream to use instead; several with commas between
	Log       *slog.Logger
	// Now is the clock by which keys expire; nil means time.Now.
	Now func() time.Time
}

// State is an open store. It is safe for concurrent use.
type State struct {
	opt                       Options
	reading, writing, listing chan struct{} // one element for each operation of that kind

	mu       sync.Mutex
	live     *connection   // nil after the store failed, until it was opened again
	failed   time.Time     // when it failed
	cause    error         // why, until it was
	changing chan struct{} // while a store that failed is closed or opened again; closed after that
	closed   bool

	background sync.WaitGroup // goroutines that wait for connections to fail, or open them again
}

// maxListing is how many buckets are listed at the same time. A list looks at all
// keys of its bucket, and server and client together copy them ten times: 20,000 of the
// longest took 320 MiB. Two at a time took 640, and were done no sooner on two cores.
const maxListing = 1

// reopenAfter is how long a store that failed is left alone. Opening it takes some
// milliseconds and reads every bucket's directory.
const reopenAfter = time.Second

// Open opens the store. The caller closes it. ctx bounds the opening.
func Open(ctx context.Context, opt Options) (*State, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &State{opt: opt, reading: make(chan struct{}, maxUnderWay), writing: make(chan struct{}, maxUnderWay), listing: make(chan struct{}, maxListing)}
	var err error
	if s.live, err = s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the store. Operations under way fail.
func (s *State) Close() {
	s.mu.Lock()
	live := s.live
	s.live, s.closed = nil, true
	s.mu.Unlock()
	live.close()
	s.background.Wait()
}

// connection is a way to a JetStream, and the server of this process behind it.
type connection struct {
	js     jetstream.JetStream
	nc     *nats.Conn
	server *embedded // nil with a cluster
	failed failure
	ended  chan struct{}
}

func (c *connection) close() {
	if c == nil {
		return
	}
	close(c.ended)
	c.nc.Close() // ends what waits for an answer
	if c.server != nil {
		c.server.stop()
	}
}

func (s *State) connect(ctx context.Context) (*connection, error) {
	if s.opt.URL != "" {
		return s.connectCluster(ctx)
	}
	server, err := startEmbedded(s.opt.Directory, s.opt.Log)
	if err != nil {
		return nil, unavailable("open state in "+s.opt.Directory, err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(server), nats.NoReconnect(), nats.ErrorHandler(s.reportError), nats.ClosedHandler(server.log.failed.closed))
	if err != nil {
		server.stop()
		return nil, unavailable("open state in "+s.opt.Directory, err)
	}
	js, err := jetstream.New(nc)
	if err != nil { // bad options, which these are not
		panic("state: internal error: " + err.Error())
	}
	return s.watched(&connection{js, nc, server, server.log.failed, make(chan struct{})}, "write state in "+s.opt.Directory), nil
}

// watched takes c out of use when it has failed. A store of this process that cannot
// write leaves every write without an answer.
func (s *State) watched(c *connection, op string) *connection {
	s.background.Go(func() {
		select {
		case cause := <-c.failed:
			s.fail(c, unavailable(op, cause))
		case <-c.ended:
		}
	})
	return c
}

// failure takes the first reason why a connection cannot be used any more.
type failure chan error

func (f failure) report(cause error) {
	select {
	case f <- cause:
	default:
	}
}

// closed is told that a connection has ended, by whomever.
func (f failure) closed(nc *nats.Conn) {
	f.report(fmt.Errorf("the connection to the store ended: %w", cmp.Or(nc.LastError(), nats.ErrConnectionClosed)))
}

// connectCluster waits for the cluster's JetStream to answer once, so that a wrong
// URL is found out here. Later the connection is made again for as long as it takes;
// the client gives up only where its credentials are refused twice.
func (s *State) connectCluster(ctx context.Context) (*connection, error) {
	op := "open state at " + redacted(s.opt.URL)
	failed := make(failure, 1)
	nc, err := nats.Connect(s.opt.URL, nats.Name("spore"), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(s.reportError), nats.ClosedHandler(failed.closed),
		nats.DisconnectErrHandler(s.reportAway), nats.ReconnectHandler(s.reportBack))
	if err != nil {
		return nil, unavailable(op, fmt.Errorf("%w; start it, or correct nats under [host] in functions.toml", err))
	}
	js, err := jetstream.New(nc)
	if err != nil {
		panic("state: internal error: " + err.Error())
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		nc.Close()
		return nil, unavailable(op, fmt.Errorf("%w; its servers must run with JetStream", err))
	}
	return s.watched(&connection{js, nc, nil, failed, make(chan struct{})}, "use state at "+redacted(s.opt.URL)), nil
}

func (s *State) reportError(_ *nats.Conn, _ *nats.Subscription, err error) {
	s.opt.Log.Warn("state", "error", err.Error())
}

func (s *State) reportAway(nc *nats.Conn, err error) {
	if !nc.IsClosed() { // not by us
		s.opt.Log.Warn("state: "+away, "error", fmt.Sprint(err))
	}
}

func (s *State) reportBack(*nats.Conn) { s.opt.Log.Info("state: the cluster is there again") }

// redacted returns a cluster's URLs without passwords and tokens.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, text := range list {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil {
			return "the configured URL"
		}
		list[i] = u.Scheme + "://" + u.Host
	}
	return strings.Join(list, ",")
}

// connection returns the live connection, and has the store opened again when it has
// failed: one of this process refuses every write after one that the disk refused.
func (s *State) connection(ctx context.Context) (*connection, error) {
	for {
		live, changing, err := s.look()
		if changing == nil {
			return live, err
		}
		select {
		case <-changing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look returns the live connection, why there is none, or what to wait for.
func (s *State) look() (live *connection, changing <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, errStopping
	case s.live != nil:
		return s.live, nil, nil
	case time.Since(s.failed) < reopenAfter:
		return nil, nil, s.cause
	case s.changing == nil:
		s.changing = make(chan struct{})
		s.background.Go(s.reopen)
	}
	return nil, s.changing, nil
}

// reopen opens the store again. It has a time of its own, the client's five seconds for
// an answer: whoever asks first may have none left.
func (s *State) reopen() {
	live, err := s.connect(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed()
	switch {
	case err != nil:
		s.failed, s.cause = time.Now(), err
	case s.closed:
		live.close()
	default:
		s.live, s.cause = live, nil
	}
}

// fail takes a connection that has failed out of use. Its server must have let go of the
// directory before another begins.
func (s *State) fail(c *connection, cause error) {
	s.mu.Lock()
	if s.live != c {
		s.mu.Unlock()
		return
	}
	s.opt.Log.Error("state cannot be used; it is opened again", "error", cause.Error())
	s.live, s.failed, s.cause = nil, time.Now(), cause
	s.changing = make(chan struct{})
	s.mu.Unlock()

	c.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed()
}

// changed lets those go on who wait for the store. s.mu is held.
func (s *State) changed() {
	close(s.changing)
	s.changing = nil
}

// whyClosed is the reason why a connection was closed.
func (s *State) whyClosed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errStopping
	case s.cause == nil: // it broke a moment ago
		return errBroken
	}
	return s.cause
}

const away = "the connection to the cluster is lost; it is made again"

var (
	errStopping = unavailable("use state", errors.New("the host is stopping"))
	errBroken   = unavailable("use state", errors.New("the connection to the store ended; try again"))
	errAway     = unavailable("use state", errors.New(away))
	errDeleted  = unavailable("use state", errors.New("somebody has deleted the bucket from the cluster, or none of its servers answers; try again"))
)

func unavailable(op string, err error) error {
	return &function.Error{Kind: abi.Unavailable, Op: op, Err: err}
}
