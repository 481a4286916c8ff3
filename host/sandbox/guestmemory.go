package sandbox

import (
	"encoding/binary"

	"github.com/tetratelabs/wazero/api"

	"spore/abi"
)

// guestMemory is the checked door to a guest's memory. Views it returns are
// used within the host function that asked for them and never kept.
type guestMemory struct{ mem api.Memory } // never nil: a module without one is refused

func (g guestMemory) read(ptr, n uint32) ([]byte, bool) { return g.mem.Read(ptr, n) }

func (g guestMemory) write(ptr uint32, b []byte) bool {
	view, ok := g.read(ptr, uint32(len(b)))
	copy(view, b)
	return ok
}

// copyOut returns a private copy of guest memory, or the kind that refuses it. The
// copy is made in room where that is large enough.
func (r *run) copyOut(mem guestMemory, room []byte, ptr, n uint32, limit int) ([]byte, abi.Kind) {
	if uint64(n) > uint64(limit) {
		return nil, abi.TooLarge
	}
	view, ok := mem.read(ptr, n)
	if !ok {
		return nil, abi.Invalid
	}
	if cap(room) < len(view) {
		room = make([]byte, len(view))
	}
	frame := room[:len(view)]
	r.copyInPieces(frame, view)
	return frame, abi.None
}

// put is write for WASI's functions, whose pointers are words and whose errors errnos.
func (g guestMemory) put(ptr uint64, b []byte) errno {
	if !g.write(uint32(ptr), b) {
		return errFault
	}
	return success
}

func (g guestMemory) putU32(ptr uint64, v uint32) errno {
	return g.put(ptr, binary.LittleEndian.AppendUint32(nil, v))
}

// eachBuffer calls fn with the buffers of an iovec array, until fn says stop.
func (g guestMemory) eachBuffer(ptr, n uint64, fn func(buf []byte) bool) errno {
	if uint32(n) > maxIOVecs {
		return errInval
	}
	vecs, ok := g.read(uint32(ptr), uint32(n)*8)
	if !ok {
		return errFault
	}
	for ; len(vecs) > 0; vecs = vecs[8:] {
		buf, ok := g.read(binary.LittleEndian.Uint32(vecs), binary.LittleEndian.Uint32(vecs[4:]))
		if !ok {
			return errFault
		}
		if !fn(buf) {
			return success
		}
	}
	return success
}
