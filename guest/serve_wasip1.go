package guest

import (
	"context"
	"errors"
	"runtime"

	"spore/abi"
	"spore/guest/internal/sys"
)

// room is the memory one event is served in. It is one piece, so that a small
// request changes one page of it: what a sandbox has changed is copied back
// afterwards, page by page.
type room struct {
	context  eventContext
	answered bool
	frame    []byte // where frames to the host are made
	headers  [16]Pair
	frames   [15 << 10]byte // the event's, and behind it the answer's
}

var (
	handler Handler
	current *room // of the event being served, or of the next one
)

var (
	errAnswered = errors.New("guest: the event was answered already")
	errNoEvent  = errors.New("guest: there is no event to answer before guest.Start: answer in the handler")
)

// Start says that initialisation is complete and hands over to handle. It does
// not return: the host freezes the module inside Start, and each event enters
// through spore_serve on a copy. Code after Start and deferred calls never run.
// Without a handler, or called again, it panics.
func Start(handle Handler) {
	switch {
	case handle == nil:
		panic("guest.Start was given no handler")
	case handler != nil:
		panic("guest.Start was called before; a function has one handler")
	}
	handler = handle
	prepare()
	random.find()
	sys.Refused = ""
	n := sys.GetNextRequest(current.frames[:])
	panic("guest: the host did not freeze the module: " + abi.KindOfErrno(n).String())
}

// prepare makes the room for the next event. Nothing an event was given is ever
// used for another: a sample event's strings may live on in the author's globals.
func prepare() {
	current = new(room)
	current.frame = current.frames[:0]
}

//go:wasmexport spore_serve
func serve() {
	var ev Event
	room := current
	if err := nextRequest(&ev, room); err != nil {
		panic("guest: " + err.Error())
	}
	random.reseed(&ev.Entropy)
	if ev.Trigger == abi.TriggerWarmup {
		sys.Refused = sys.InSample
	}
	res, err := call(newContext(&ev, &room.context), &ev)
	switch {
	case room.answered && err != nil:
		logError(err)
	case room.answered:
	case err != nil:
		sendError(err)
	default:
		send(&res)
	}
	if ev.Trigger == abi.TriggerWarmup {
		room.context.stop()
		sys.Refused = ""
		prepare()
	}
}

// warm is spore_warm of the ABI: the host calls it once, at deploy, and takes the
// snapshot when it and the sample events have returned.
//
//go:wasmexport spore_warm
func warm() {
	sys.Refused = sys.InWarm
	for _, f := range warmers {
		f()
	}
	warmers = nil
	sys.Refused = ""
	settle()
}

// randomDraw is spore_random of the ABI: the host calls it twice on fresh
// restores and refuses to share a snapshot whose draws are equal.
//
//go:wasmexport spore_random
func randomDraw() int64 {
	var ev Event
	if err := nextRequest(&ev, current); err != nil {
		panic("guest: " + err.Error())
	}
	random.reseed(&ev.Entropy)
	return random.draw()
}

// nextRequest fetches the event into room. A host that does not restore instances
// finds room good for one more event.
func nextRequest(ev *Event, room *room) error {
	room.answered = false
	buf := room.frames[:]
	n := sys.GetNextRequest(buf)
	if int(n) > len(buf) {
		buf = make([]byte, n)
		n = sys.GetNextRequest(buf)
	} else if n > 0 {
		room.frame = buf[n:n]
	}
	if err := sys.Check("get_next_request", n); err != nil {
		return err
	}
	ev.Headers = room.headers[:0]
	if err := ev.Decode(buf[:n]); err != nil {
		return err
	}
	if int(ev.BodySize) > len(ev.Body) {
		ev.Body = make([]byte, ev.BodySize)
		return sys.Check("body_read", sys.BodyRead(ev.Body, 0))
	}
	return nil
}

// call runs the handler and turns its panic into an error with a stack.
func call(ctx context.Context, ev *Event) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			buf := make([]byte, 16<<10)
			err = &panicError{value: p, stack: string(buf[:runtime.Stack(buf, false)])}
		}
	}()
	for _, f := range restored {
		f()
	}
	return handler(ctx, *ev)
}

func respond(res *Result) error {
	room := current
	switch {
	case room == nil:
		return errNoEvent
	case room.answered:
		return errAnswered
	}
	room.frame = abi.AppendResult(room.frame[:0], res)
	if kind := abi.KindOfErrno(sys.SendResponse(room.frame)); kind != abi.None {
		return &sys.Error{Op: "send_response", Kind: kind, Detail: sys.MessageDetail(kind)}
	}
	room.answered = true
	return nil
}

func send(res *Result) {
	if err := respond(res); err != nil {
		sendError(err)
	}
}

// logError reports an error that can no longer be the answer.
func logError(err error) {
	e := describe(err)
	attrs := []string{"error", e.Message, "type", e.Type}
	if e.Stack != "" {
		attrs = append(attrs, "stack", e.Stack)
	}
	Log(8, "error after the answer was sent", attrs...)
}

func sendError(err error) {
	e := describe(err)
	sys.SendError(abi.AppendError(current.frame[:0], &e))
}
