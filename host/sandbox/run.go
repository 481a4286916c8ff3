package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"spore/abi"
	"spore/host/function"
)

// phase is how far a run has come. It decides which host functions may be
// called (abi/README.md, state machine).
type phase uint8

const (
	phaseInit     phase = iota // initialising: nothing was asked for yet
	phaseWaiting               // spore_serve was entered, the event not handed out
	phaseServing               // the event was handed out
	phaseAnswered              // the answer was given
)

// The ways host code ends a run from within. They travel through the engine as
// panics of a host function and come out of the call as errors.
var (
	errFrozen   = errors.New("reached get_next_request")
	errReported = errors.New("reported an error")
	errDeadline = errors.New("deadline exceeded")
	errEnded    = errors.New("the host is stopping")

	errRecursion = fmt.Errorf("the call stack is over %d KiB; look for recursion without end", maxCallStack>>10)
)

// exitError is the guest's proc_exit.
type exitError struct{ code uint32 }

func (e *exitError) Error() string { return "exited" }

// run is one entry into a module: an initialisation, or one event. It is the
// context that the engine hands through to the host functions, which is how
// they find the state of the call they belong to. It is used by one goroutine.
type run struct {
	context.Context
	inst  *instance
	img   *Image
	can   *Capabilities // the image's, but in a rehearsal
	phase phase

	// On the engine's clock, in nanoseconds:
	end     int64 // the run must be over
	respond int64 // the answer must be there
	begun   int64 // the guest was entered
	ended   int64 // the guest had returned

	ev       *abi.Event
	frame    []byte // ev encoded; valid while serving
	reply    function.Reply
	result   abi.Result // the answer, until reply has it
	pending  bool       // there is one
	guestErr *abi.Error
	misused  bool     // a call out of order
	command  *command // nil: a guest runs

	fn    api.Function // entered
	stack callStack    // of fn; since the first yield

	output output
	calls  callTable
	host   int64 // nanoseconds spent in host functions
	thread thread
	memory uint32 // bytes of linear memory at the end
	dirty  int    // pages that were copied back
}

// newRun returns a run that has to be over after limit.
func newRun(ctx context.Context, inst *instance, p phase, limit time.Duration) *run {
	end := inst.res.img.engine.elapsed() + int64(limit)
	return &run{Context: ctx, inst: inst, img: inst.res.img, can: &inst.res.img.settings.Capabilities, phase: p, end: end, respond: end}
}

// Value implements context.Context for the engine, which asks on every call for
// options that spore does not use.
func (r *run) Value(any) any { return nil }

// deadline is the next time at which the run must not be going on as it is.
func (r *run) deadline() int64 {
	if r.phase < phaseAnswered {
		return r.respond
	}
	return r.end
}

// timeIsUp says why the run must end, or nil: its time is over, or the host wants it ended.
func (r *run) timeIsUp(now int64) error {
	switch {
	case now >= r.deadline():
		return errDeadline
	case r.Err() != nil:
		return errEnded
	}
	return nil
}

// checkTime ends the run from within when it must end.
func (r *run) checkTime(now int64) {
	if err := r.timeIsUp(now); err != nil {
		panic(err)
	}
}

// quantum is how long a guest keeps its core while others may be waiting for one.
// An ordinary event is over by then, without having been moved to another thread.
const quantum = int64(time.Millisecond)

// briefly is how long it keeps its core when a run that has had less than a quantum
// is known to wait for one.
const briefly = quantum / 5

// yield is called by the guest every time its fuel is used up: it ends a run that
// is over its deadline, and a recursion, and lets others run when this one has had
// its quantum. Calling Go code at all is what lets the collector stop this
// goroutine. args is the engine's view of its stack, which begins with the parameter
// (wasmbin.Yield).
func (r *run) yield(args []uint64) int64 {
	r.deliver(true)
	if !r.stack.known {
		r.stack = callStackOf(r.fn)
	}
	depth := r.stack.used(args)
	if depth > maxCallStack {
		panic(errRecursion)
	}
	if size := r.inst.stack.size(); size > maxKeptStack && !r.inst.memory.affordStack(uint64(size)) {
		panic(errNoMemory) // the instance is dropped in any case, and gives it back
	}
	slice := r.stack.slice(depth, uint32(args[0]) != 0) // the engine leaves the upper half as it was
	r.relent(r.img.engine.elapsed())
	return slice
}

// relent ends a run that is over its deadline, and lets others run when this one has
// had its turn, which it reports.
func (r *run) relent(now int64) bool {
	r.checkTime(now)
	if now-r.thread.since > 4*briefly { // later than most events are over: it costs up to 8 us
		r.giveWay()
	}
	if !r.hadItsTurn(now) {
		return false
	}
	r.pause()
	runtime.Gosched()
	r.resume()
	r.checkTime(r.img.engine.elapsed())
	return true
}

// hadItsTurn reports whether the guest has run for as long as it may at one stretch.
func (r *run) hadItsTurn(now int64) bool {
	ran := now - r.thread.since
	return ran > quantum || ran > briefly && r.img.engine.cores.wanted.Load() > 0
}

// deliver hands the guest's answer up, if there is one that was not.
func (r *run) deliver(goesOn bool) {
	if r.pending {
		r.pending = false
		r.reply(&r.result, goesOn)
		r.result = abi.Result{} // an idle instance does not hold 6 MiB
	}
}

// outOfOrder notes a call the phase does not allow.
func (r *run) outOfOrder() int32 {
	r.misused = true
	return abi.OutOfOrder.Errno()
}

// enter calls an exported function of the instance and classifies what came of
// it. The run is pinned, and still is afterwards.
func (r *run) enter(fn api.Function, stack []uint64) error {
	r.fn, r.stack = fn, callStack{}
	err := fn.CallWithStack(r, stack)
	r.ended = r.endStretch()
	if r.calls.open != nil {
		r.unpin() // the calls take a moment to end
		r.calls.closeAll()
		r.pin()
	}
	r.output.flush(r)
	switch {
	case err == nil, errors.Is(err, errReported), r.endedWell(err):
		return nil
	case errors.Is(err, errFrozen):
		return err
	}
	return r.classify(err)
}

// classify gives the error that a run ended with its kind.
func (r *run) classify(err error) error {
	var exit *exitError
	kind, cause := abi.Internal, err // a panic of ours, unless it is one of these
	switch {
	case errors.Is(err, errDeadline):
		kind, cause = abi.Deadline, errDeadline
	case errors.Is(err, errEnded):
		kind, cause = abi.NotReady, errEnded
	case errors.Is(err, errRecursion):
		kind, cause = abi.Trapped, errRecursion
	case errors.Is(err, errOutput):
		kind, cause = abi.TooLarge, errOutput
	case r.inst.memory.crowded:
		kind, cause = abi.OutOfMemory, errNoMemory // not Overloaded: the event has begun, and is not to be sent again
	case r.inst.memory.refused:
		kind, cause = abi.OutOfMemory, errors.New("the memory limit was reached; raise memory in functions.toml")
	case errors.As(err, &exit):
		kind, cause = abi.Exited, exitCause(exit, r.output.tail(), r.phase == phaseInit)
	case isTrap(err):
		kind, cause = abi.Trapped, &trap{err}
	}
	op := "run " + r.img.settings.Name
	if r.phase == phaseInit {
		op = "initialise"
	}
	return &function.Error{Kind: kind, Op: op, Err: cause}
}

// verdict judges a run whose guest returned by itself.
func (r *run) verdict() error {
	fail := func(kind abi.Kind, cause error) error {
		return &function.Error{Kind: kind, Op: "run " + r.img.settings.Name, Err: cause}
	}
	switch {
	case r.guestErr != nil:
		return fail(abi.GuestError, errors.New(r.guestErr.Type+": "+r.guestErr.Message))
	case r.misused:
		return fail(abi.OutOfOrder, errors.New("the guest called host functions out of order"))
	case r.phase != phaseAnswered && r.ended >= r.respond:
		return fail(abi.Deadline, errDeadline)
	case r.phase != phaseAnswered && r.ev.Trigger != abi.TriggerRandom:
		return fail(abi.NoAnswer, errors.New("the guest returned without an answer"))
	}
	return nil
}
