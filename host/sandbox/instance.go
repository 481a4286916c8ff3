package sandbox

import (
	"bytes"
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"spore/abi"
	"spore/host/function"
)

// instance is a live instance of an image's module and its memory.
type instance struct {
	mod     api.Module
	memory  *linearMemory
	serve   api.Function // what an event enters by, fetched once: each fetch makes a stack
	globals []api.MutableGlobal
}

// instantiate makes an instance whose memory begins with b's pages. No code of
// the guest runs.
func (img *Image) instantiate(ctx context.Context, b *backing) (*instance, error) {
	mapped, err := newMapping(uint64(img.settings.MemoryMax), b)
	if err != nil {
		return nil, &function.Error{Kind: abi.Overloaded, Op: "make sandbox", Err: err}
	}
	memory := &linearMemory{mapping: mapped, limit: uint64(img.settings.MemoryMax)}
	ctx = experimental.WithMemoryAllocator(ctx, memory)
	mod, err := img.runtime.InstantiateModule(ctx, img.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		memory.Free()
		return nil, &function.Error{Kind: abi.Invalid, Op: "instantiate " + img.settings.Name, Err: err}
	}
	inst := &instance{mod: mod, memory: memory, serve: mod.ExportedFunction(img.entry())}
	for _, name := range img.rewrite.Globals {
		inst.globals = append(inst.globals, mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	return inst, nil
}

// bytes returns the instance's linear memory as it is; valid until close.
func (inst *instance) bytes() []byte { return inst.memory.bytes()[:inst.mod.Memory().Size()] }

func (inst *instance) close() {
	_ = inst.mod.Close(context.Background()) // frees the memory; closing cannot fail
}

// maxRestored bounds the pages that are copied back in place. An instance that
// changed more is dropped, because every later restore would copy them again.
const maxRestored = 512

// restore puts an instance that has served back at the snapshot and returns how
// many pages that took. It is there again, byte for byte, only when ok; otherwise
// it is to be dropped. Tables cannot have changed: the rewriter refuses modules
// that could.
func (inst *instance) restore(s *snapshot) (pages int, ok bool) {
	if uint64(inst.mod.Memory().Size()) != s.size || inst.memory.refused {
		return -1, false
	}
	pages = inst.memory.restore(s.memory)
	for i, g := range inst.globals {
		g.Set(s.globals[i])
	}
	return pages, 0 <= pages && pages <= maxRestored
}

// differs reports whether the instance is anywhere but at the snapshot. It is
// the proof behind restore, for Options.Prove.
func (inst *instance) differs(s *snapshot) bool {
	for i, g := range inst.globals {
		if g.Get() != s.globals[i] {
			return true
		}
	}
	return !bytes.Equal(inst.bytes(), s.memory.bytes())
}
