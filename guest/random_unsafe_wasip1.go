package guest

import (
	"encoding/binary"
	"math/rand/v2"
	"unsafe"

	"spore/abi"
)

// random is the runtime's generator, which math/rand, math/rand/v2,
// hash/maphash and map seeds all draw from. Restored from a snapshot it would
// repeat itself in every sandbox, so each event reseeds it first of all.
var random generator

// generator points at the runtime's ChaCha8 state in linear memory
// (internal/chacha8rand.State in runtime.m0; wasm has one m). The layout below
// is Go 1.26's.
type generator struct{ state *chacha8 }

type chacha8 struct {
	buf     [32]uint64
	seed    [4]uint64
	i, n, c uint32
}

// find locates the state: it draws a run of values, which the generator hands
// out of buf in order, and searches memory for them. Where exactly one place
// fits, that is the state. Otherwise (another Go version, say) state stays nil,
// nothing is reseeded, and the host sees equal draws and shares no snapshot.
//
// The search reads the program's data, which lies below the heap: from the
// beginning of linear memory up to an object on the heap, all of it mapped for
// as long as the module lives, through aligned 8-byte loads. The collector is not
// involved: the state is a global of the runtime and never moves.
func (g *generator) find() {
	const run = 8
	for range 3 { // a run that crosses a refill is not in memory in one piece
		var want [run]uint64
		for i := range want {
			want[i] = rand.Uint64()
		}
		if s := search(want[:]); s != nil {
			g.state = s
			return
		}
	}
}

func search(want []uint64) *chacha8 {
	const runtimeData = 4096 // nothing lives below: address 0 must stay nil
	var found *chacha8
	end := uintptr(unsafe.Pointer(current)) - unsafe.Sizeof(chacha8{})
	for p := uintptr(runtimeData); p < end; p += 8 {
		if load(p) != want[0] {
			continue
		}
		if s := stateAround(p, want); s != nil {
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// stateAround returns the state whose buffer holds want at address p, directly
// before its read position.
func stateAround(p uintptr, want []uint64) *chacha8 {
	for i := range want {
		if load(p+uintptr(i)*8) != want[i] {
			return nil
		}
	}
	for first := range uintptr(32 - len(want) + 1) {
		if p < first*8 {
			return nil
		}
		s := (*chacha8)(at(p - first*8))
		if int(s.i) == int(first)+len(want) && s.n >= 28 && s.n <= 32 && s.c < 16 && s.c%4 == 0 {
			return s
		}
	}
	return nil
}

// at returns address p of linear memory as a pointer.
func at(p uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), p) }

func load(p uintptr) uint64 { return *(*uint64)(at(p)) }

// reseed makes every later draw depend on the event's entropy alone. With i = n
// the next draw refills the buffer from seed; c = 0 keeps Refill from replacing
// the seed by the tail of the old buffer, and the old values are wiped.
func (g *generator) reseed(entropy *[abi.EntropySize]byte) {
	s := g.state
	if s == nil {
		return
	}
	clear(s.buf[:])
	for i := range s.seed {
		s.seed[i] = binary.LittleEndian.Uint64(entropy[i*8:])
	}
	s.i, s.c = s.n, 0
	clear(entropy[:])
}

func (g *generator) draw() int64 { return int64(rand.Uint64()) }
