package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

// freeze initialises the module and returns the image with its snapshot. That is the
// initial memory alone for a command, and where random numbers would repeat. The program
// stays the caller's when there is an error.
func (img *Image) freeze(ctx context.Context, p *program, m *wasmbin.Module) (*resident, error) {
	if isCommand(m) && len(img.settings.Warmup) > 0 {
		return nil, &function.Error{Kind: abi.Invalid, Op: "warm up", Err: errors.New("a plain WASI command starts anew in every request; take warmup out of functions.toml")}
	}
	if !img.budget.take(initialSize(m)) {
		return nil, errNoMemory
	}
	defer img.budget.give(initialSize(m)) // what serves takes its own
	pristine, err := initialMemory(m)
	if err != nil {
		return nil, &function.Error{Kind: abi.Invalid, Op: "initialise", Err: err}
	}
	res := img.newResident(p, pristine)
	if isCommand(m) {
		pristine.Command = true
		pristine.Note = "a plain WASI command, because it does not export " + abi.ExportServe + ": every request starts it anew, with the body on standard input and the answer on standard output; a spore function ends main with guest.Start(handler), one for AWS Lambda imports spore/guest/lambda/bridge"
		return res, nil
	}
	frozen, err := res.frozen(ctx, m)
	if errors.Is(err, errRepeats) {
		pristine.Note = "its random numbers would repeat after a restore, so every request initialises the module anew; rebuild it with this host's SDK"
		return res, nil
	}
	pristine.close()
	return frozen, err
}

// initialSize is how many bytes of memory a module begins with.
func initialSize(m *wasmbin.Module) uint64 { return uint64(m.MemoryMin) * wasmPage }

// initialMemory is the memory of a module of which no code has run: its data
// segments, which the rewriter has taken out, and which Parse found to lie in it.
func initialMemory(m *wasmbin.Module) (*snapshot, error) {
	memory := make([]byte, initialSize(m))
	if len(memory) == 0 {
		return nil, errors.New("the module has no memory to begin with, so it can take no event")
	}
	for _, seg := range m.Data {
		copy(memory[seg.Offset:], seg.Bytes)
	}
	b, err := newBacking(memory)
	if err != nil {
		return nil, err
	}
	return &snapshot{snapshotHeader: snapshotHeader{Size: uint64(len(memory))}, memory: b}, nil
}

// frozen returns what stands at the snapshot of the module once it is initialised, unless
// restores of that would draw the same random numbers.
func (res *resident) frozen(ctx context.Context, m *wasmbin.Module) (*resident, error) {
	s, err := res.warmSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	frozen := res.img.newResident(res.program, s)
	if err := frozen.drawsDiffer(ctx, m); err != nil {
		res.img.engine.closeAll(frozen.idle.close())
		s.close()
		return nil, err
	}
	return frozen, nil
}

// warmSnapshot runs the module up to its first get_next_request, warms it up and copies
// its state.
func (res *resident) warmSnapshot(ctx context.Context) (*snapshot, error) {
	var inst *instance
	var err error
	res.img.engine.Chore(func() { inst, err = res.instantiate(ctx) })
	if err != nil {
		return nil, err
	}
	defer res.img.engine.Chore(inst.close)
	if err := inst.initialise(ctx, res.img.settings.InitTimeout); err != nil {
		return nil, err
	}
	if err := inst.warmUp(ctx); err != nil {
		return nil, err
	}
	return inst.snapshot()
}

var errRepeats = errors.New("two restores draw the same random number")

// drawsDiffer asks two restores for a random number each: errRepeats. Guests that do not
// export spore_random have no generator of their own to ask.
func (res *resident) drawsDiffer(ctx context.Context, m *wasmbin.Module) error {
	if _, ok := m.FuncExport(abi.ExportRandom); !ok {
		return nil
	}
	var draws [2]uint64
	for i := range draws {
		sb, err := res.open(ctx, 0)
		if err != nil {
			return err
		}
		draws[i], err = sb.random(ctx)
		sb.recycle()
		if err != nil {
			return fmt.Errorf("%s: %w", abi.ExportRandom, err)
		}
	}
	if draws[0] == draws[1] {
		return errRepeats
	}
	return nil
}

// initialise runs the module's start function and its _start or _initialize, within
// limit and the time that a deploy would have.
func (inst *instance) initialise(ctx context.Context, limit time.Duration) error {
	img := inst.res.img
	r := newRun(ctx, inst, phaseInit, min(limit, img.settings.InitTimeout))
	r.pin()
	defer r.unpin()
	if start := inst.mod.ExportedFunction(wasmbin.StartExport); start != nil {
		switch err := r.enter(start, nil); {
		case errors.Is(err, errFrozen): // main would never run
			return &function.Error{Kind: abi.OutOfOrder, Op: "initialise", Err: errors.New("the module's start function asked for a request; only " + abi.ExportStart + " or " + abi.ExportInitialize + " may")}
		case err != nil:
			return img.settings.uninitialised(err, limit)
		}
	}
	if inst.res.snapshot.Command {
		return nil // it runs when there is an event
	}
	main := inst.mod.ExportedFunction(abi.ExportInitialize)
	returns := main != nil // an _initialize may
	if main == nil {
		main = inst.mod.ExportedFunction(abi.ExportStart)
	}
	err := r.enter(main, nil)
	switch {
	case errors.Is(err, errFrozen), err == nil && returns:
		return nil
	case err == nil:
		return &function.Error{Kind: abi.NoAnswer, Op: "initialise", Err: errors.New("main returned without asking for a request; end main with guest.Start(handler)")}
	}
	return img.settings.uninitialised(err, limit)
}

// uninitialised adds to the error of an initialisation what the author can do when it
// took too long, unless it was an event whose time was over.
func (s *Settings) uninitialised(err error, limit time.Duration) error {
	if function.KindOf(err) != abi.Deadline || limit < s.InitTimeout {
		return err
	}
	return &function.Error{Kind: abi.Deadline, Op: "initialise", Err: fmt.Errorf("no request was asked for within %v; raise init_timeout, or look for work that never ends before guest.Start", s.InitTimeout.Round(time.Millisecond))}
}
