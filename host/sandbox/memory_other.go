//go:build !linux

package sandbox

import "fmt"

// pageSize is the unit in which memory is compared and counted.
const pageSize = 4096

// backing holds a snapshot's memory: a plain copy where there is no memfd.
type backing struct {
	memory []byte
	size   uint64
	zeros  zeros
}

func newBacking(memory []byte) (*backing, error) {
	return &backing{append([]byte(nil), memory...), uint64(len(memory)), findZeros(memory)}, nil
}

func (b *backing) bytes() []byte { return b.memory }

func (b *backing) close() {}

// mapping is the memory of one instance, copied from the snapshot.
type mapping struct{ region []byte }

func newMapping(size uint64, b *backing) (mapping, error) {
	if b.size > size {
		return mapping{}, fmt.Errorf("copy image: %d bytes into %d", b.size, size)
	}
	m := mapping{make([]byte, size)}
	copy(m.region, b.memory)
	return m, nil
}

func (m *mapping) bytes() []byte { return m.region }

func (m *mapping) unmap() { m.region = nil }

// The kernel's help in finding what changed is Linux's. Here Copy is left.

func (m *mapping) eachChangedByScan(uint64, func(span)) bool { return false }

func (m *mapping) eachChangedByRead(uint64, func(span)) bool { return false }

func (m *mapping) discard(*backing) bool { return false }

func probeCounts() bool { return false }
