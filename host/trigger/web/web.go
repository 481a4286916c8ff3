// Package web is the HTTP trigger: it turns requests into events, hands them to
// a function.Invoker and writes the answers. Make a Server with New, give it
// routes with SetRoutes as often as they change, and run it with Serve.
//
// Requests that could mean two things are refused before they are routed
// (gate.go), signed routes are verified before a sandbox is taken (slack.go), a
// guest's answer is checked before any of it is written (answer.go), and errors
// show a kind and a request id, never a cause (errors.go). fasthttp is this
// package's alone.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"spore/host/function"
)

// Options of a Server. Only Invoker has no default.
type Options struct {
	Invoker  function.Invoker
	Now      func() time.Time                  // time.Now
	Secret   func(name string) ([]byte, error) // signing secrets of routes; none
	Log      *slog.Logger                      // slog.Default()
	Timeouts Timeouts
	Drain    time.Duration // how long Serve lets requests and functions finish when it ends; 10 s
	MaxConns int           // connections at once; 10000, each holds 16 KiB while its header is read

	// MaxBodyBytes is the memory for request bodies of all connections; 256 MiB.
	// A body takes at most four times what has come of it, and while its buffer
	// grows the old one as well. Over it requests are answered 503.
	MaxBodyBytes int64

	// Chore runs work that takes a processor for long, when it may: long bodies are
	// moved by it, 64 KiB at a time. By default it runs at once.
	Chore func(work func())
}

// Timeouts bound what a slow client can hold, and a hasty one. They don't bound
// functions.
type Timeouts struct {
	Read     time.Duration // a whole request from its first byte; 30 s
	Write    time.Duration // a whole answer; 30 s
	Idle     time.Duration // between requests of a connection; 75 s
	Overload time.Duration // before the answer that host or function is at its limit; 100 ms
}

// headerBytes is the longest request line and header that is read.
const headerBytes = 16 << 10

// endGrace is how long Serve waits after the drain for functions that it told
// to end, and for connections it closed.
const endGrace = time.Second

// Server answers HTTP requests. Its methods may be called concurrently.
type Server struct {
	opt     Options
	table   atomic.Pointer[table]
	calls   sync.Pool
	workers *workers
	conns   connections
	bodies  *bodies

	// running is the context of every Invoke. It outlives the one of Serve by
	// the drain.
	running context.Context
	end     context.CancelFunc
}

// New returns a Server without routes: it answers /healthz, and 404 to the rest.
func New(opt Options) *Server {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.MaxConns == 0 {
		opt.MaxConns = 10_000
	}
	if opt.MaxBodyBytes == 0 {
		opt.MaxBodyBytes = 256 << 20
	}
	if opt.Chore == nil {
		opt.Chore = func(work func()) { work() }
	}
	orDefault(&opt.Drain, 10*time.Second)
	orDefault(&opt.Timeouts.Read, 30*time.Second)
	orDefault(&opt.Timeouts.Write, 30*time.Second)
	orDefault(&opt.Timeouts.Idle, 75*time.Second)
	orDefault(&opt.Timeouts.Overload, 100*time.Millisecond)
	s := &Server{opt: opt, workers: newWorkers(), bodies: newBodies(opt.MaxBodyBytes, opt.Chore), conns: connections{open: map[*conn]struct{}{}}}
	s.running, s.end = context.WithCancel(context.Background())
	s.calls.New = func() any { return newCall(s) }
	if err := s.SetRoutes(nil); err != nil {
		panic("web: internal error: " + err.Error())
	}
	return s
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Serve answers the connections of ln until ctx ends. It then stops accepting,
// closes connections without a request under way, one with half a header
// included, lets requests and functions that work on after their answer finish for at
// most Options.Drain, ends what is left, and returns nil. No connection and no
// function runs then; fasthttp's sweeper of idle goroutines ends by itself
// within 10 s. Another error means that ln failed. Serve closes ln and may be
// called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer s.end()
	server := s.fasthttpServer()
	served := make(chan error, 1)
	go func() { served <- server.Serve(patientListener{ln, s.opt.Chore}) }()
	var failure error
	select {
	case <-ctx.Done():
	case err := <-served:
		served <- err
		if err == nil {
			err = net.ErrClosed // by somebody else
		}
		failure = fmt.Errorf("accept connections on %s: %w", ln.Addr(), err)
	}
	drain, cancel := context.WithTimeout(s.running, s.opt.Drain)
	defer cancel()
	s.conns.drain()
	err := server.ShutdownWithContext(drain)
	_ = ln.Close() // Shutdown has, unless it came before fasthttp knew of it
	<-served
	if !s.workers.stop(drain) || err != nil {
		s.endAll()
	}
	return failure
}

// endAll ends what the drain has left. Functions end because their context
// does, connections because they are closed.
func (s *Server) endAll() {
	s.opt.Log.Warn("requests did not finish in time and were ended", "drain", s.opt.Drain)
	s.end()
	closed := s.conns.closeAll()
	grace, cancel := context.WithTimeout(context.Background(), endGrace)
	defer cancel()
	if !s.workers.stop(grace) {
		s.opt.Log.Error("functions did not end when they were told to", "waited", endGrace)
	}
	select {
	case <-closed:
	case <-grace.Done():
	}
}

func (s *Server) fasthttpServer() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:         s.handle,
		ExpectHandler:   s.expect,
		ErrorHandler:    s.refuseUnreadable,
		ConnState:       s.conns.changed,
		Logger:          printer{s.opt.Log},
		ReadTimeout:     s.opt.Timeouts.Read,
		WriteTimeout:    s.opt.Timeouts.Write,
		IdleTimeout:     s.opt.Timeouts.Idle,
		ReadBufferSize:  headerBytes,
		Concurrency:     s.opt.MaxConns,
		CloseOnShutdown: true,
		// fasthttp reads one byte of a body, and body.go the rest.
		StreamRequestBody:  true,
		MaxRequestBodySize: 1,
		HeaderReceived:     dontWaitForLongBodies,
		// A form must reach the function, and its signature's check, byte for byte.
		DisablePreParseMultipartForm: true,
		// Not a word about us, and no header that a function did not ask for.
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
	}
}

// printer takes fasthttp's own messages, which are about broken connections.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, args ...any) { p.log.Debug(fmt.Sprintf(format, args...)) }
