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
	img   *Image
	phase phase

	end     time.Time // the run is over
	respond time.Time // the answer must be there

	ev       *abi.Event
	frame    []byte // ev encoded; valid while serving
	reply    func(*abi.Result)
	guestErr *abi.Error
	misused  bool // a call out of order

	fn     api.Function // entered
	stack  callStack    // of fn; since the first yield
	yields int

	output output
	calls  callTable
	host   time.Duration // spent in host functions
}

// deadline is the next time at which the run must not be going on as it is.
func (r *run) deadline() time.Time {
	if r.phase < phaseAnswered {
		return r.respond
	}
	return r.end
}

// checkTime ends the run when its time is over, or when the host wants it ended.
func (r *run) checkTime(now time.Time) {
	if !now.Before(r.deadline()) {
		panic(errDeadline)
	}
	if r.Err() != nil {
		panic(errEnded)
	}
}

// yield is called by the guest every time its fuel is used up. Like every host
// function it ends a run that is over its deadline, and is a point at which the
// collector can stop this goroutine; it also ends a recursion, and now and then
// lets others run. args is the engine's view of its stack.
func (r *run) yield(args []uint64) int64 {
	if r.yields == 0 {
		r.stack = callStackOf(r.fn)
	}
	if r.stack.used(args) > maxCallStack {
		panic(errRecursion)
	}
	if r.yields++; r.yields%yieldsATurn == 0 {
		runtime.Gosched()
	}
	return fuelSlice
}

// outOfOrder notes a call the phase does not allow.
func (r *run) outOfOrder() int32 {
	r.misused = true
	return abi.OutOfOrder.Errno()
}

// enter calls an exported function of the instance and classifies what came of
// it. mem is the instance's memory.
func (r *run) enter(fn api.Function, mem *linearMemory, stack []uint64) error {
	r.fn, r.yields = fn, 0
	err := fn.CallWithStack(r, stack)
	r.calls.closeAll()
	r.output.flush(r)
	switch {
	case err == nil, errors.Is(err, errReported):
		return nil
	case errors.Is(err, errFrozen):
		return err
	}
	return r.classify(err, mem)
}

func (r *run) classify(err error, mem *linearMemory) error {
	var exit *exitError
	kind, cause := abi.Internal, err // a panic of ours, unless it is one of these
	switch {
	case errors.Is(err, errDeadline):
		kind, cause = abi.Deadline, errDeadline
	case errors.Is(err, errEnded):
		kind, cause = abi.NotReady, errEnded
	case errors.Is(err, errRecursion):
		kind, cause = abi.Trapped, errRecursion
	case mem.refused:
		kind, cause = abi.OutOfMemory, errors.New("the memory limit was reached; raise memory in functions.toml")
	case errors.As(err, &exit):
		kind, cause = abi.Exited, exitCause(exit, r.output.tail())
	case isTrap(err):
		kind, cause = abi.Trapped, &trap{err}
	}
	op := "run " + r.img.settings.Name
	if r.phase == phaseInit {
		op = "initialise"
	}
	return &function.Error{Kind: kind, Op: op, Err: cause}
}
