package web

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"spore/abi"
	"spore/host/function"
)

// requestIDHeader is on every answer.
const requestIDHeader = "x-spore-request-id"

// handle is where fasthttp enters, on the connection's goroutine: it has a request
// looked over and its route found, and has that served.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer s.answerPanic(ctx)
	switch r := s.routeOf(ctx); r {
	case nil: // refused
	case health:
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString("ok")
	default:
		if !s.serve(ctx, r) {
			time.Sleep(s.opt.Timeouts.Overload) // whoever asks again at once would have the host do nothing else
		}
	}
}

// expect is where fasthttp enters before handle when the client waits for leave to send
// its body, and returns that, or the status of a refusal: where the header says enough for
// one, none is to be sent (RFC 9110 section 10.1.1). fasthttp wants the answer left alone
// here, but sends what it then finds.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	status = fasthttp.StatusInternalServerError // of a panic
	defer s.answerPanic(ctx)
	r := s.routeOf(ctx)
	if r != nil {
		limit, long := bodyLimit(r)
		if ctx.Request.Header.ContentLength() <= limit {
			ctx.Conn().(*conn).beginBody() // of which fasthttp reads the first byte, before handle
			return fasthttp.StatusContinue
		}
		refuse(ctx, *long)
	}
	ctx.Conn().(*conn).linger.Store(true) // it may send it nevertheless
	return ctx.Response.StatusCode()
}

// routeOf looks a request over and returns its route, or refuses it and returns nil.
func (s *Server) routeOf(ctx *fasthttp.RequestCtx) *route {
	ctx.Response.Header.Set(requestIDHeader, NewRequestID())
	c := ctx.Conn().(*conn)
	c.inRequest = false // until somebody wants the body
	if ctx.Request.BodyStream() != nil {
		c.linger.Store(true) // until it is read
	}
	if r := inspect(&ctx.Request); r != nil {
		refuse(ctx, *r)
		ctx.SetConnectionClose()
		return nil
	}
	t, path := *s.table.Load(), borrow(ctx.URI().Path()) // the one that was sent, decoded: the gate has seen to that
	r := t.find(borrow(ctx.Method()), path)
	if r == nil {
		refuseRoute(ctx, t.allowed(path))
	}
	return r
}

// answerPanic is deferred.
func (s *Server) answerPanic(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		s.panicked(string(ctx.Response.Header.Peek(requestIDHeader)), p)
		refuse(ctx, internalError)
	}
}

func (s *Server) panicked(id string, p any) {
	s.opt.Log.Error("panic", "request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// serve gives the request to the function, and reports whether there was room for
// it. It returns at the function's answer, because fasthttp writes nothing before its
// handler returns; the worker goes on until the function has ended.
func (s *Server) serve(ctx *fasthttp.RequestCtx, r *route) (admitted bool) {
	d := s.bodies.get()
	defer s.bodies.put(d)
	if why := s.readBody(ctx, d, r); why != nil {
		refuse(ctx, *why)
		ctx.SetConnectionClose()
		return true
	}
	if r.SlackSecret != "" && !s.admitSlack(ctx, r, d.data) {
		return true
	}
	c := s.calls.Get().(*call)
	c.begin(ctx, r, d.data)
	if !s.workers.do(c) {
		refuse(ctx, shuttingDown)
		c.release()
		c.release()
		return true
	}
	<-c.done
	admitted = !c.overloaded
	c.release()
	// Whoever else is ready to run does so first: answers that are written together
	// wake a client once. It is worth 6 % with 16 busy connections, nothing without.
	runtime.Gosched()
	return admitted
}

// call is one event on its way through the Invoker. Two goroutines hold it: the
// connection's until the answer, the worker's until the function has ended. The
// last to let go of it gives it back to the pool.
type call struct {
	server  *Server
	holders atomic.Int32
	done    chan struct{}  // one value: ctx is answered
	reply   function.Reply // c.answer, made once

	// The rest is the worker's from begin on.
	ctx        *fasthttp.RequestCtx // nil once fasthttp has it back
	answered   bool
	overloaded bool // there was no room for the event
	route      *route
	ev         abi.Event
}

func newCall(s *Server) *call {
	c := &call{server: s, done: make(chan struct{}, 1)}
	c.reply = c.answer
	return c
}

func (c *call) begin(ctx *fasthttp.RequestCtx, r *route, body []byte) {
	c.holders.Store(2)
	c.ctx, c.answered, c.overloaded, c.route = ctx, false, false, r
	fillEvent(&c.ev, ctx, r, body)
}

func (c *call) release() {
	if c.holders.Add(-1) > 0 {
		return
	}
	clear(c.ev.Headers)
	clear(c.ev.Params)
	c.ev = abi.Event{Headers: c.ev.Headers[:0], Params: c.ev.Params[:0]}
	c.ctx, c.route = nil, nil
	c.server.calls.Put(c)
}

// run is where a worker enters.
func (c *call) run() {
	defer c.release()
	id := c.ev.RequestID
	defer func() {
		if p := recover(); p != nil {
			c.server.panicked(id, p)
			if !c.answered {
				refuse(c.ctx, internalError)
			}
			c.handBack()
		}
	}()
	_, err := c.server.opt.Invoker.Invoke(c.server.running, function.Ref{Name: c.route.Function}, &c.ev, c.reply)
	if err == nil && !c.answered {
		panic("web: internal error: invoke returned neither an answer nor an error")
	}
	if err != nil && !c.answered { // whoever invokes has reported it
		refuse(c.ctx, refusalOf(err))
		c.overloaded = function.KindOf(err) == abi.Overloaded
	}
	c.handBack()
}

// answer writes the function's answer. The connection goes on with it at once when
// the function goes on too. Otherwise it does when this goroutine is through: a
// connection woken before is often fetched by another processor, which costs both
// several microseconds.
func (c *call) answer(res *abi.Result, goesOn bool) {
	if c.answered {
		panic("web: internal error: a second answer to one event")
	}
	if err := writeResult(&c.ctx.Response, res); err != nil {
		c.server.opt.Log.Error("the function's answer cannot be sent", "request_id", c.ev.RequestID, "function", c.route.Function, "error", err.Error())
		refuse(c.ctx, badResponse)
	}
	c.answered = true
	if goesOn {
		c.handBack()
	}
}

// handBack lets the connection go on, unless it does already.
func (c *call) handBack() {
	if c.ctx != nil {
		c.ctx = nil
		c.done <- struct{}{}
	}
}

// NewRequestID returns a random UUID, RFC 9562 version 4.
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	text := make([]byte, 36)
	hex.Encode(text, b[:4])
	for i, at := range []int{8, 13, 18, 23} {
		text[at] = '-'
		hex.Encode(text[at+1:], b[4+2*i:6+2*i])
	}
	hex.Encode(text[24:], b[10:])
	return string(text)
}
