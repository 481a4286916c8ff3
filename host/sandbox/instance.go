package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

// instance is a live instance of a program and its memory.
type instance struct {
	res     *resident
	mod     api.Module
	mem     api.Memory
	memory  *linearMemory
	serve   api.Function // what an event enters by, fetched once: each fetch makes a stack
	stack   keptStack    // of serve
	takes   int          // bytes of the idle ones', while it is one
	globals []api.MutableGlobal

	// Used again for every event, so that serving one allocates nothing.
	sandbox Sandbox
	entropy entropy
	thread  seenThread // that executed the last one
	frame   []byte     // room for the event's frame
	answer  []byte     // room for the answer's
}

// instantiate makes an instance that stands at the resident's snapshot. No code of
// the guest runs.
func (res *resident) instantiate(ctx context.Context) (inst *instance, err error) {
	settings, s := &res.img.settings, res.snapshot
	mapped, err := newMapping(uint64(settings.MemoryMax), s.memory)
	if err != nil {
		return nil, &function.Error{Kind: abi.Overloaded, Op: "make sandbox", Err: err}
	}
	memory := &linearMemory{mapping: mapped, limit: uint64(settings.MemoryMax), budget: &res.img.budget, free: s.Size}
	defer func() {
		if p := recover(); p != nil { // or the event's caller would have to give back what was taken for it
			memory.Free()
			err = &function.Error{Kind: abi.Internal, Op: "instantiate " + settings.Name, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	ctx = experimental.WithMemoryAllocator(ctx, memory)
	mod, err := res.program.runtime.InstantiateModule(ctx, res.program.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		memory.Free()
		return nil, &function.Error{Kind: abi.Invalid, Op: "instantiate " + settings.Name, Err: err}
	}
	inst = &instance{res: res, mod: mod, mem: mod.Memory(), memory: memory, serve: mod.ExportedFunction(s.entry())}
	inst.stack = keptStackOf(inst.serve)
	for i := 0; ; i++ {
		g, ok := mod.ExportedGlobal(wasmbin.GlobalExport + strconv.Itoa(i)).(api.MutableGlobal)
		if !ok {
			break
		}
		inst.globals = append(inst.globals, g)
	}
	if err := inst.place(s); err != nil {
		inst.close()
		return nil, err
	}
	return inst, nil
}

// besideMemory is about what an instance of m takes in the engine beside its memory: 200,000
// entries that are filled take 8.5 MiB, and 2 more until the collector comes; 10,000
// globals 1.1.
func besideMemory(m *wasmbin.Module) uint64 {
	entries, elements := m.References()
	return uint64(8*entries + 48*elements + 128*m.Globals())
}

// place puts a new instance, whose memory was mapped from s, at the snapshot.
func (inst *instance) place(s *snapshot) error {
	if s.Frozen && len(s.Globals) != len(inst.globals) || s.Size < uint64(inst.mem.Size()) {
		return &function.Error{Kind: abi.Internal, Op: "restore " + inst.res.img.settings.Name, Err: errDamaged}
	}
	if missing := s.Size - uint64(inst.mem.Size()); missing > 0 {
		if _, ok := inst.mem.Grow(uint32(missing / wasmPage)); !ok {
			return &function.Error{Kind: abi.Internal, Op: "restore " + inst.res.img.settings.Name, Err: errDamaged}
		}
	}
	inst.setGlobals(s)
	return nil
}

func (inst *instance) setGlobals(s *snapshot) {
	for i, v := range s.Globals {
		inst.globals[i].Set(v)
	}
}

// bytes returns the instance's linear memory as it is; valid until close.
func (inst *instance) bytes() []byte { return inst.memory.bytes()[:inst.mem.Size()] }

// own is about how many bytes the instance takes while it is idle: what it shares with no
// other.
func (inst *instance) own() int {
	return inst.memory.pages*pageSize + int(inst.res.snapshot.Beside) + inst.stack.size()
}

func (inst *instance) close() {
	_ = inst.mod.Close(context.Background()) // frees the memory; closing cannot fail
}

// closeAll closes instances that no event will use again, each as a chore of its own.
func (e *Engine) closeAll(list []*instance) {
	for _, inst := range list {
		e.Chore(inst.close)
	}
}

// restore puts an instance that has served back at its snapshot and returns how
// many pages that took. It is there again, byte for byte, only when ok; otherwise
// it is to be dropped. Tables cannot have changed: the rewriter refuses modules
// that could. look is explained at linearMemory.restore.
func (inst *instance) restore(look bool) (pages int, ok bool) {
	s := inst.res.snapshot
	if uint64(inst.mem.Size()) != s.Size || inst.memory.refused {
		return 0, false
	}
	pages, ok = inst.memory.restore(s.memory, inst.res.img.engine.tracking.method, look)
	inst.setGlobals(s)
	return pages, ok
}

// differs reports whether the instance is anywhere but at the snapshot. It is
// the proof behind restore, for Options.Prove.
func (inst *instance) differs() bool {
	s := inst.res.snapshot
	for i, v := range s.Globals {
		if inst.globals[i].Get() != v {
			return true
		}
	}
	return !bytes.Equal(inst.bytes(), s.memory.bytes())
}
