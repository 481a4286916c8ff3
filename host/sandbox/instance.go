package sandbox

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"spore/abi"
	"spore/host/function"
)

// instance is a live instance of an image's module and its memory.
type instance struct {
	mod    api.Module
	memory *linearMemory
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
	return &instance{mod, memory}, nil
}

// bytes returns the instance's linear memory as it is; valid until close.
func (inst *instance) bytes() []byte { return inst.memory.bytes()[:inst.mod.Memory().Size()] }

func (inst *instance) close() {
	_ = inst.mod.Close(context.Background()) // frees the memory; closing cannot fail
}
