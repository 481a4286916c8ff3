package sandbox

import "github.com/tetratelabs/wazero/experimental"

// linearMemory is the memory of one instance. It implements the engine's
// LinearMemory over a mapping that never moves.
type linearMemory struct {
	mapping
	limit  uint64 // bytes
	budget *budget
	free   uint64 // bytes that need not be taken from the budget
	grown  uint64 // bytes that were
	stack  uint64 // bytes that were for the engine's stack

	refused bool      // the guest asked for more than there is for it
	crowded bool      // the last time because others have the rest
	changed []stretch // what is no longer the snapshot's, as far as known: whole pages
	pages   int       // how many these are; all of them where the whole snapshot is copied
}

// span is a run of pages, as byte offsets into the memory.
type span struct{ start, end uint64 }

// stretch is a part of a span, in which the snapshot is either zero throughout or not.
type stretch struct {
	span
	zero bool
}

// Allocate implements experimental.MemoryAllocator.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory. Nil makes memory.grow fail.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.limit || !m.afford(size) {
		m.refused, m.crowded = true, size <= m.limit
		return nil
	}
	return m.bytes()[:size:size]
}

// afford takes what a memory of that size needs more from the budget.
func (m *linearMemory) afford(size uint64) bool {
	more := size - min(size, m.free+m.grown)
	if more == 0 {
		return true
	}
	if !m.budget.take(more) {
		return false
	}
	m.grown += more
	return true
}

// affordStack takes what an engine's stack of that size needs more from the budget.
func (m *linearMemory) affordStack(size uint64) bool {
	if size <= m.stack {
		return true
	}
	if !m.budget.take(size - m.stack) {
		m.crowded = true
		return false
	}
	m.stack = size
	return true
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() {
	m.unmap()
	if taken := m.grown + m.stack; taken > 0 {
		m.budget.give(taken)
		m.grown, m.stack = 0, 0
	}
}

// maxChanged bounds the pages that are copied back in place. An instance that
// changed more is dropped, because every later restore would copy them again.
const maxChanged = 512

// restore puts the memory, whose size must be b's, back at b and returns how many
// pages that took. It is there again, byte for byte, only when ok.
//
// look says that pages may have changed that are not in m.changed yet. The list
// only grows: a page in it stays this instance's own, and is copied back each
// time, so that a list that was complete after one event is complete after the
// next unless a further page has changed. Keeping pages and copying beats giving
// them back: each would fault in again at its next write, for 2 us instead of 0.07.
func (m *linearMemory) restore(b *backing, method Method, look bool) (pages int, ok bool) {
	switch method {
	case Copy:
		m.pages = int(b.size / pageSize)
		return m.pages, m.copyFrom(b)
	case Discard:
		return 0, m.discard(b)
	case Scan, Pagemap:
		return m.copyChanged(b, method, look)
	}
	return 0, false
}

func (m *linearMemory) copyChanged(b *backing, method Method, look bool) (pages int, ok bool) {
	if look && !m.findChanged(b, method) {
		return m.pages, false
	}
	memory, image := m.bytes(), b.bytes()
	for _, s := range m.changed {
		if s.zero {
			clear(memory[s.start:s.end]) // reads nothing, which is half the time of a copy
		} else {
			copy(memory[s.start:s.end], image[s.start:s.end])
		}
	}
	return m.pages, true
}

func (m *linearMemory) copyFrom(b *backing) bool {
	return copy(m.bytes()[:b.size], b.bytes()) == int(b.size)
}

// findChanged fills the list anew. It is false when there are too many, or when
// the kernel does not tell.
func (m *linearMemory) findChanged(b *backing, method Method) bool {
	m.changed, m.pages = m.changed[:0], 0
	find := m.eachChangedByScan
	if method == Pagemap {
		find = m.eachChangedByRead
	}
	told := find(b.size, func(s span) {
		if m.pages += int((s.end - s.start) / pageSize); m.pages <= maxChanged {
			m.changed = b.zeros.split(m.changed, s)
		}
	})
	return told && m.pages <= maxChanged
}
