package guest

import (
	"context"
	"runtime"

	"spore/abi"
	"spore/guest/internal/sys"
)

// The state of the event being served. In spore every event finds it as Start
// left it; a host that reuses instances finds it good for one more event.
var (
	handler  Handler
	eventBuf []byte
	frameBuf []byte
	answered bool
)

// Start says that initialisation is complete and hands over to handle. It does
// not return: the host freezes the module inside Start, and each event enters
// through spore_serve on a copy. Code after Start and deferred calls never run.
func Start(handle Handler) {
	handler = handle
	eventBuf = make([]byte, 16<<10)
	frameBuf = make([]byte, 0, 16<<10)
	random.find()
	n := sys.GetNextRequest(eventBuf)
	panic("guest: the host did not freeze the module: " + abi.KindOfErrno(n).String())
}

//go:wasmexport spore_serve
func serve() {
	ev, err := nextRequest()
	if err != nil {
		panic("guest: " + err.Error())
	}
	random.reseed(&ev.Entropy)
	ctx := newContext(&ev)
	res, err := call(ctx, ev)
	switch {
	case answered && err != nil:
		Log(8, "error after the answer was sent", "error", err.Error())
	case answered:
	case err != nil:
		sendError(err)
	default:
		send(&res)
	}
}

// randomDraw is spore_random of the ABI: the host calls it twice on fresh
// restores and refuses to share a snapshot whose draws are equal.
//
//go:wasmexport spore_random
func randomDraw() int64 {
	ev, err := nextRequest()
	if err != nil {
		panic("guest: " + err.Error())
	}
	random.reseed(&ev.Entropy)
	return random.draw()
}

func nextRequest() (ev Event, err error) {
	answered = false
	n := sys.GetNextRequest(eventBuf)
	if int(n) > len(eventBuf) {
		eventBuf = make([]byte, n)
		n = sys.GetNextRequest(eventBuf)
	}
	if err := sys.Check("get_next_request", n); err != nil {
		return ev, err
	}
	if err := ev.Decode(eventBuf[:n]); err != nil {
		return ev, err
	}
	if int(ev.BodySize) > len(ev.Body) {
		ev.Body = make([]byte, ev.BodySize)
		n := sys.BodyRead(ev.Body, 0)
		if err := sys.Check("body_read", n); err != nil {
			return ev, err
		}
	}
	return ev, nil
}

// call runs the handler and turns its panic into an error with a stack.
func call(ctx context.Context, ev Event) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			buf := make([]byte, 16<<10)
			err = &panicError{value: p, stack: string(buf[:runtime.Stack(buf, false)])}
		}
	}()
	return handler(ctx, ev)
}

func respond(res *Result) error {
	if answered {
		return errAnswered
	}
	frameBuf = abi.AppendResult(frameBuf[:0], res)
	if err := sys.Check("send_response", sys.SendResponse(frameBuf)); err != nil {
		return err
	}
	answered = true
	return nil
}

func send(res *Result) {
	if err := respond(res); err != nil {
		sendError(err)
	}
}

func sendError(err error) {
	e := describe(err)
	frameBuf = abi.AppendError(frameBuf[:0], &e)
	sys.SendError(frameBuf)
}
