//go:build !linux

package sandbox

import "fmt"

// backing holds a snapshot's memory: a plain copy where there is no memfd.
type backing struct{ memory []byte }

func newBacking(memory []byte) (*backing, error) {
	return &backing{append([]byte(nil), memory...)}, nil
}

func (b *backing) bytes() []byte { return b.memory }

func (b *backing) close() {}

// mapping is the memory of one instance, copied from the snapshot.
type mapping struct{ region []byte }

func newMapping(size uint64, b *backing) (mapping, error) {
	m := mapping{make([]byte, size)}
	if b != nil {
		if uint64(len(b.memory)) > size {
			return mapping{}, fmt.Errorf("copy image: %d bytes into %d", len(b.memory), size)
		}
		copy(m.region, b.memory)
	}
	return m, nil
}

func (m *mapping) bytes() []byte { return m.region }

func (m *mapping) unmap() { m.region = nil }

// restore needs the kernel's help to find what changed: every event gets a new
// mapping here.
func (m *mapping) restore(*backing) int { return -1 }
