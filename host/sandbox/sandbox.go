package sandbox

import (
	"context"
	"errors"
	"time"

	"github.com/tetratelabs/wazero/api"

	"spore/abi"
	"spore/host/function"
)

// Sandbox serves one event. It stands exactly at its image's snapshot when Open
// returns it, and is closed afterwards: no state survives it.
type Sandbox struct {
	img     *Image
	inst    *instance
	opening time.Duration
	spent   bool
	again   bool // inst was proven back at the snapshot and may serve another event
}

// Deadlines are the times by which an event's answer and its end must be there.
type Deadlines struct{ Response, End time.Time }

// Open returns a sandbox. The caller closes it. ctx matters only where the image
// has no snapshot and the module is initialised here.
func (img *Image) Open(ctx context.Context) (*Sandbox, error) {
	start := time.Now()
	if !img.acquire() {
		return nil, &function.Error{Kind: abi.NotReady, Op: "open sandbox " + img.settings.Name, Err: errors.New("the version was replaced")}
	}
	inst, err := img.open(ctx)
	if err != nil {
		img.release()
		return nil, err
	}
	return &Sandbox{img: img, inst: inst, opening: time.Since(start)}, nil
}

func (img *Image) open(ctx context.Context) (*instance, error) {
	if img.snapshot == nil {
		return img.boot(ctx)
	}
	if inst := img.idle.take(); inst != nil {
		return inst, nil
	}
	inst, err := img.instantiate(ctx, img.snapshot.memory)
	if err != nil {
		return nil, err
	}
	if err := img.snapshot.start(inst); err != nil {
		inst.close()
		return nil, &function.Error{Kind: abi.Internal, Op: "restore " + img.settings.Name, Err: err}
	}
	return inst, nil
}

// Serve takes ev to the guest and returns when the guest has ended. reply is
// called at most once, from within Serve, when the guest answers; the Result is
// borrowed until reply returns. ev is borrowed until then, or until Serve
// returns; its Entropy is filled here. The error is a *function.Error, also when
// the guest went wrong after its answer. A sandbox serves once.
func (sb *Sandbox) Serve(ctx context.Context, ev *abi.Event, d Deadlines, reply func(*abi.Result)) (function.Stats, error) {
	fillEntropy(ev.Entropy[:])
	r := &run{Context: ctx, img: sb.img, phase: phaseWaiting, ev: ev, end: d.End, respond: d.Response, reply: reply}
	start := time.Now()
	err := sb.serve(r)
	ended := time.Now()
	stats := function.Stats{
		Duration:   ended.Sub(start),
		Host:       r.host,
		MemoryMax:  sb.img.settings.MemoryMax,
		MemoryUsed: int64(sb.inst.mod.Memory().Size()),
		Answered:   r.phase == phaseAnswered && r.guestErr == nil,
	}
	stats.DirtyPages = sb.recycle(err)
	stats.Restore = sb.opening + time.Since(ended)
	return stats, err
}

// serve enters the module for r's event.
func (sb *Sandbox) serve(r *run) error {
	if sb.img.command {
		return sb.serveCommand(r)
	}
	return sb.enter(r, sb.inst.serve, nil)
}

func (sb *Sandbox) enter(r *run, fn api.Function, stack []uint64) error {
	if sb.spent {
		panic("sandbox: internal error: serve on a spent sandbox")
	}
	sb.spent = true
	if err := r.enter(fn, sb.inst.memory, stack); err != nil {
		return err
	}
	if r.command != nil {
		r.answer()
	}
	return r.verdict()
}

// recycle decides whether the instance may serve another event, and restores it
// when it may. An instance that ended in any way but an answer or an error of its
// own is not worth the argument. It returns the pages that were copied back, or -1.
func (sb *Sandbox) recycle(err error) (pages int) {
	snap := sb.img.snapshot
	if kind := function.KindOf(err); snap == nil || kind != abi.None && kind != abi.GuestError {
		return -1
	}
	if sb.img.engine.reuse {
		sb.again = true
		return 0
	}
	pages, sb.again = sb.inst.restore(snap)
	if sb.again && sb.img.engine.prove && sb.inst.differs(snap) {
		panic("sandbox: internal error: a restored sandbox differs from its snapshot")
	}
	return pages
}

// verdict judges a run whose guest returned by itself.
func (r *run) verdict() error {
	fail := func(kind abi.Kind, cause error) error {
		return &function.Error{Kind: kind, Op: "run " + r.img.settings.Name, Err: cause}
	}
	switch {
	case r.guestErr != nil:
		return fail(abi.GuestError, &function.Guest{Report: *r.guestErr})
	case r.misused:
		return fail(abi.OutOfOrder, errors.New("the guest called host functions out of order"))
	case r.phase != phaseAnswered && !time.Now().Before(r.respond):
		return fail(abi.Deadline, errDeadline)
	case r.phase != phaseAnswered && r.ev.Trigger != abi.TriggerRandom:
		return fail(abi.NoAnswer, errors.New("the guest returned without an answer"))
	}
	return nil
}

// random asks the guest for a draw of its own generator.
func (sb *Sandbox) random() (uint64, error) {
	end := time.Now().Add(sb.img.settings.InitTimeout)
	ev := &abi.Event{Trigger: abi.TriggerRandom, Function: sb.img.settings.Name}
	fillEntropy(ev.Entropy[:])
	r := &run{Context: context.Background(), img: sb.img, phase: phaseWaiting, ev: ev, end: end, respond: end, reply: func(*abi.Result) {}}
	stack := []uint64{0}
	err := sb.enter(r, sb.inst.mod.ExportedFunction(abi.ExportRandom), stack)
	return stack[0], err
}

// Close ends the sandbox. It must not be called while Serve runs.
func (sb *Sandbox) Close() {
	if !sb.again || !sb.img.idle.put(sb.inst) {
		sb.inst.close()
	}
	sb.img.release()
}
