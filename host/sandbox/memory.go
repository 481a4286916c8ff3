package sandbox

import "github.com/tetratelabs/wazero/experimental"

// linearMemory is the memory of one instance. It implements the engine's
// LinearMemory over a mapping that never moves.
type linearMemory struct {
	mapping
	limit uint64 // bytes

	refused bool // the guest asked for more than limit
}

// Allocate implements experimental.MemoryAllocator.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory. Nil makes memory.grow fail.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	return m.bytes()[:size:size]
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() { m.unmap() }
