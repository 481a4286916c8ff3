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

// freeze initialises the module and returns the image with its snapshot. A module
// whose random numbers would repeat is left unfrozen. The program stays the
// caller's when there is an error.
func (img *Image) freeze(ctx context.Context, p *program, m *wasmbin.Module) (*resident, error) {
	pristine, err := initialMemory(m)
	if err != nil {
		return nil, &function.Error{Kind: abi.Invalid, Op: "initialise", Err: err}
	}
	res := img.newResident(p, pristine)
	if isCommand(m) {
		if len(img.settings.Warmup) > 0 {
			pristine.close()
			return nil, &function.Error{Kind: abi.Invalid, Op: "warm up", Err: errors.New("a plain WASI command starts anew in every request; take warmup out of functions.toml")}
		}
		pristine.Command = true
		pristine.Note = "a plain WASI command, because it does not export " + abi.ExportServe + ": every request starts it anew, with the body on standard input and the answer on standard output; a spore function ends main with guest.Start(handler)"
		return res, nil
	}
	frozen, err := res.freeze(ctx)
	if err != nil {
		pristine.close()
		return nil, err
	}
	res = img.newResident(p, frozen)
	fresh, err := res.drawsDiffer(ctx, m)
	if err == nil && fresh {
		pristine.close()
		return res, nil
	}
	img.engine.closeAll(res.idle.close())
	frozen.close()
	if err != nil {
		pristine.close()
		return nil, err
	}
	pristine.Note = "its random numbers would repeat after a restore, so every request initialises the module anew; rebuild it with this host's SDK"
	return img.newResident(p, pristine), nil
}

// initialMemory is the memory of a module of which no code has run: its data
// segments, which the rewriter has taken out.
func initialMemory(m *wasmbin.Module) (*snapshot, error) {
	memory := make([]byte, uint64(m.MemoryMin)*wasmPage)
	for _, seg := range m.Data {
		if uint64(seg.Offset)+uint64(len(seg.Bytes)) > uint64(len(memory)) {
			return nil, errors.New("a data segment lies outside the memory")
		}
		copy(memory[seg.Offset:], seg.Bytes)
	}
	if len(memory) == 0 {
		return nil, errors.New("the module has no memory to begin with, so it can take no event")
	}
	b, err := newBacking(memory)
	if err != nil {
		return nil, err
	}
	return &snapshot{snapshotHeader: snapshotHeader{Size: uint64(len(memory))}, memory: b}, nil
}

// freeze runs the module up to its first get_next_request, warms it up and copies
// its state.
func (res *resident) freeze(ctx context.Context) (*snapshot, error) {
	inst, err := res.boot(ctx)
	if err != nil {
		return nil, err
	}
	defer inst.close()
	if err := inst.warmUp(ctx); err != nil {
		return nil, err
	}
	return inst.take()
}

// drawsDiffer asks two restores for a random number each. Guests that do not
// export spore_random have no generator of their own to ask.
func (res *resident) drawsDiffer(ctx context.Context, m *wasmbin.Module) (bool, error) {
	if _, ok := m.FuncExport(abi.ExportRandom); !ok {
		return true, nil
	}
	var draws [2]uint64
	for i := range draws {
		sb, err := res.open(ctx, 0)
		if err != nil {
			return false, err
		}
		draws[i], err = sb.random(ctx)
		sb.recycle()
		if err != nil {
			return false, fmt.Errorf("%s: %w", abi.ExportRandom, err)
		}
	}
	return draws[0] != draws[1], nil
}

// boot returns a new instance, initialised up to its first get_next_request.
func (res *resident) boot(ctx context.Context) (*instance, error) {
	var inst *instance
	var err error
	res.img.engine.Chore(func() { inst, err = res.instantiate(ctx) })
	if err != nil {
		return nil, err
	}
	if err := inst.initialise(ctx, res.img.settings.InitTimeout); err != nil {
		res.img.engine.Chore(inst.close)
		return nil, err
	}
	return inst, nil
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
