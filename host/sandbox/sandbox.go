package sandbox

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero/api"

	"spore/abi"
	"spore/host/function"
)

// Sandbox serves one event. It stands exactly at its image's snapshot when Open
// returns it, or is new where there is none, and is closed afterwards: no state
// survives it. It must not be used after Close, because its memory is the next one's.
type Sandbox struct {
	inst     *instance
	run      run
	overhead int64 // nanoseconds, of Stats.Restore
	spent    bool
	reusable bool // inst stands at the snapshot and may serve another event
}

// Deadlines are the times by which an event's answer and its end must be there.
type Deadlines struct{ Response, End time.Time }

// Open returns a sandbox. The caller closes it. ctx matters only where the image
// has to be brought into memory, which is waited for as long as it lasts.
func (img *Image) Open(ctx context.Context) (*Sandbox, error) {
	res, since, err := img.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if !img.budget.take(res.snapshot.cost()) {
		res.release()
		return nil, &function.Error{Kind: abi.Overloaded, Op: "open sandbox " + img.settings.Name, Err: errNoMemory}
	}
	sb, err := res.open(ctx, since)
	if err != nil {
		res.giveBack()
		return nil, err
	}
	return sb, nil
}

// open returns a sandbox. What had to be done for it before, if anything, was begun
// at since; 0 says there was nothing, and then no time is taken of an idle instance.
func (res *resident) open(ctx context.Context, since int64) (*Sandbox, error) {
	inst := res.idle.take()
	if inst == nil {
		if since == 0 {
			since = res.img.engine.elapsed()
		}
		var err error
		if inst, err = res.start(ctx); err != nil {
			return nil, err
		}
	}
	sb := &inst.sandbox // whose run Serve sets
	sb.inst, sb.overhead, sb.spent, sb.reusable = inst, 0, false, false
	if since != 0 {
		sb.overhead = res.img.engine.elapsed() - since
	}
	return sb, nil
}

// start makes a new instance, unless one becomes idle while it waits for a core to do
// that with.
func (res *resident) start(ctx context.Context) (inst *instance, err error) {
	res.img.engine.Chore(func() {
		if inst = res.idle.take(); inst == nil {
			inst, err = res.instantiate(ctx)
		}
	})
	return inst, err
}

// Serve takes ev to the guest and returns when the guest has ended. reply is
// called at most once, from within Serve: when the guest has answered and ended, or
// has answered and is found to go on, at its next host call or at the latest when
// its fuel is used up. The Result is borrowed until reply returns, and ev until then
// or until Serve returns, but for its request id and trigger, which are read to the
// end. Its Entropy is filled here. The error is a *function.Error, also when the
// guest went wrong after its answer. A sandbox serves once.
func (sb *Sandbox) Serve(ctx context.Context, ev *abi.Event, d Deadlines, reply function.Reply) (function.Stats, error) {
	ev.Entropy = sb.inst.entropy.next()
	img := sb.inst.res.img
	sb.run = run{} // alone: a literal with fields would be made elsewhere and copied, all of it
	r := &sb.run
	r.img, r.can, r.ev, r.reply, r.phase = img, &img.settings.Capabilities, ev, reply, phaseWaiting
	r.end, r.respond = int64(d.End.Sub(img.engine.start)), int64(d.Response.Sub(img.engine.start))
	if !sb.inst.res.snapshot.Frozen {
		if err := sb.initialise(ctx); err != nil {
			return sb.stats(), err
		}
	}
	if sb.inst.res.snapshot.Command {
		if err := r.beCommand(); err != nil {
			return function.Stats{}, err
		}
	}
	err := sb.runAndRestore(ctx, sb.inst.serve, nil)
	return sb.stats(), err
}

// initialise makes an instance that has no snapshot to stand at ready for its event, in
// the time that the event has for its answer. Where that fails, the event was that.
func (sb *Sandbox) initialise(ctx context.Context) error {
	r, e := &sb.run, sb.inst.res.img.engine
	r.begun = e.elapsed()
	err := sb.inst.initialise(ctx, time.Duration(r.respond-r.begun))
	r.ended = e.elapsed()
	if err == nil {
		sb.overhead += r.ended - r.begun
	}
	r.memory = sb.inst.mem.Size()
	return err
}

// runAndRestore runs an exported function with sb.run on a thread of its own, and puts
// the instance back at the snapshot when it may.
func (sb *Sandbox) runAndRestore(ctx context.Context, fn api.Function, stack []uint64) error {
	if sb.spent {
		panic("sandbox: internal error: serve on a spent sandbox")
	}
	sb.spent = true
	r, e := &sb.run, sb.inst.res.img.engine
	r.Context, r.inst = ctx, sb.inst
	r.pin()
	defer r.unpin()
	r.begun = r.thread.since
	if err := r.timeIsUp(r.begun); err != nil { // it waited that long for a core
		r.ended, r.memory = r.begun, sb.inst.mem.Size()
		sb.reusable = sb.inst.res.snapshot.Frozen // nothing of the guest has run
		return r.classify(err)
	}
	err := r.enter(fn, stack)
	if err == nil && r.command != nil {
		r.answer()
	}
	r.deliver(false)
	if err == nil {
		err = r.verdict()
	}
	r.memory = sb.inst.mem.Size()
	sb.restore(err)
	sb.overhead += e.elapsed() - r.ended
	r.over()
	return err
}

// restore decides whether the instance may serve another event, and puts it back
// at the snapshot when it may. An instance that ended in any way but an answer or
// an error of its own is not worth the argument.
func (sb *Sandbox) restore(err error) {
	res := sb.inst.res
	counts := &res.img.engine.restores
	kind := function.KindOf(err)
	ended := kind != abi.None && kind != abi.GuestError || sb.run.misused
	if !res.snapshot.Frozen || ended || sb.inst.stack.size() > maxKeptStack {
		counts.dropped.Add(1)
		return
	}
	if res.img.engine.opt.Unisolated {
		sb.reusable = true
		return
	}
	look := !res.img.engine.tracking.counts || sb.run.thread.look
	sb.run.dirty, sb.reusable = sb.inst.restore(look)
	switch {
	case !sb.reusable:
		counts.dropped.Add(1)
		return
	case !look:
		counts.spared.Add(1)
	}
	counts.inPlace.Add(1)
	if res.img.engine.opt.Prove && sb.inst.differs() {
		panic("sandbox: internal error: a restored sandbox differs from its snapshot")
	}
}

func (sb *Sandbox) stats() function.Stats {
	r := &sb.run
	s := function.Stats{
		Duration:   time.Duration(r.ended - r.begun),
		CPU:        time.Duration(r.thread.cpu),
		Host:       time.Duration(r.host),
		Restore:    time.Duration(sb.overhead),
		MemoryMax:  r.img.settings.MemoryMax,
		MemoryUsed: int64(r.memory),
		DirtyPages: r.dirty,
		Answered:   r.phase == phaseAnswered && r.guestErr == nil,
	}
	if !sb.reusable {
		s.DirtyPages = -1
	}
	return s
}

// random asks the guest for a draw of its own generator. Nothing is granted to it for that.
func (sb *Sandbox) random(ctx context.Context) (uint64, error) {
	img := sb.inst.res.img
	ev := &abi.Event{Trigger: abi.TriggerRandom, Function: img.settings.Name}
	ev.Entropy = sb.inst.entropy.next()
	end := img.engine.elapsed() + int64(img.settings.InitTimeout)
	sb.run = run{img: img, can: &Capabilities{Log: img.settings.Log}, ev: ev, phase: phaseWaiting, end: end, respond: end, reply: func(*abi.Result, bool) {}}
	stack := []uint64{0}
	err := sb.runAndRestore(ctx, sb.inst.mod.ExportedFunction(abi.ExportRandom), stack)
	return stack[0], err
}

// Close ends the sandbox. It must not be called while Serve runs.
func (sb *Sandbox) Close() {
	res := sb.inst.res
	if sb.spent {
		res.used.Store(sb.run.ended)
	}
	sb.recycle()
	res.giveBack()
}

// giveBack ends the use that a sandbox had of the resident and of the budget.
func (res *resident) giveBack() {
	res.img.budget.give(res.snapshot.cost())
	res.release()
}

// recycle keeps the instance for another event, or drops it.
func (sb *Sandbox) recycle() {
	inst := sb.inst
	inst.takes = inst.own()
	if sb.reusable && inst.res.idle.put(inst) {
		return
	}
	inst.res.img.engine.Chore(inst.close)
}
