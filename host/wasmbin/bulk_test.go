package wasmbin_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"spore/host/wasmbin"
)

// bulkModule exports a memory of a page, and fill and copy, each no more than the
// instruction on its parameters.
func bulkModule() []byte {
	operands := []byte{0, 0x20, 0, 0x20, 1, 0x20, 2}
	return module(section(1, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0), section(3, 2, 0, 0), oneMemory,
		section(7, 3, 1, 'm', 2, 0, 4, 'f', 'i', 'l', 'l', 0, 0, 4, 'c', 'o', 'p', 'y', 0, 1),
		bodies(cat(operands, []byte{0xfc, 11, 0, 0x0b}), cat(operands, []byte{0xfc, 10, 0, 0, 0x0b})))
}

// bulkInstance runs bulk instructions in pieces, beside what memory ought to be.
type bulkInstance struct {
	t      *testing.T
	piece  uint32
	mod    api.Module
	want   []byte
	yields int
}

func newBulkInstance(t *testing.T, piece uint32) *bulkInstance {
	t.Helper()
	ctx := t.Context()
	b := &bulkInstance{t: t, piece: piece}
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	yield := func(context.Context, int32) int64 { b.yields++; return fullTank }
	_, err := rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().WithFunc(yield).Export(wasmbin.Yield).Instantiate(ctx)
	require.NoError(t, err)
	m, err := wasmbin.Parse(bulkModule())
	require.NoError(t, err)
	out, err := m.Rewrite(wasmbin.WithPiece(wasmbin.Options{MemoryPages: 16, Fuel: fullTank}, piece))
	require.NoError(t, err)
	b.mod, err = rt.Instantiate(ctx, out.Wasm)
	require.NoError(t, err)
	for i := range b.memory() {
		b.memory()[i] = byte(i % 251)
	}
	b.want = bytes.Clone(b.memory())
	return b
}

func (b *bulkInstance) memory() []byte {
	view, ok := b.mod.Memory().Read(0, b.mod.Memory().Size())
	require.True(b.t, ok)
	return view
}

// do executes an instruction, and does the same to the memory that is wanted.
func (b *bulkInstance) do(name string, dst, src, n uint32) {
	b.t.Helper()
	size := uint64(len(b.want))
	outside := uint64(dst)+uint64(n) > size || name == "copy" && uint64(src)+uint64(n) > size
	yields := 0
	switch {
	case outside:
	case name == "copy":
		copy(b.want[dst:dst+n], b.want[src:src+n])
	default:
		copy(b.want[dst:dst+n], bytes.Repeat([]byte{byte(src)}, int(n)))
	}
	if n > 0 && !outside {
		yields = int((n - 1) / b.piece) // one between two pieces
	}
	b.yields = 0
	_, err := b.mod.ExportedFunction(name).Call(b.t.Context(), uint64(dst), uint64(src), uint64(n))
	if outside {
		require.ErrorContains(b.t, err, "out of bounds memory access", "%s %d %d %d", name, dst, src, n)
	} else {
		require.NoError(b.t, err, "%s %d %d %d", name, dst, src, n)
	}
	require.True(b.t, bytes.Equal(b.want, b.memory()), "memory after %s %d %d %d", name, dst, src, n)
	require.Equal(b.t, yields, b.yields, "yields of %s %d %d %d", name, dst, src, n)
}

// TestBulkInstructionsInPieces tries lengths around multiples of a piece, at
// distances to both sides that make pieces and ranges overlap, and at the end
// of memory and of the address space.
func TestBulkInstructionsInPieces(t *testing.T) {
	const piece, page = 8, 1 << 16
	b := newBulkInstance(t, piece)
	lengths := []uint32{0, 1, 7, 8, 9, 15, 16, 17, 24, 25, 40}
	for _, n := range lengths {
		for distance := -int(n) - 2; distance <= int(n)+2; distance++ {
			b.do("copy", uint32(500+distance), 500, n)
		}
		b.do("fill", 100, n+1, n)
		for _, over := range []uint32{0, 1, 2, piece, n} { // bytes beyond the end
			b.do("fill", page-n+over, 0x5ff, n)
			b.do("copy", page-n+over, 700, n)
			b.do("copy", 700, page-n+over, n)
			b.do("copy", page-n+over, page-n-3, n)
			b.do("copy", page-n-3, page-n+over, n)
		}
	}
	for _, n := range []uint32{page, page + 1, 1 << 31, 1<<32 - 8, 1<<32 - 1} {
		for _, at := range []uint32{0, 1, 8, page, -n, 1<<32 - 1} { // -n + n wraps around to 0
			b.do("fill", at, 7, n)
			b.do("copy", at, 0, n)
			b.do("copy", 0, at, n)
			b.do("copy", at, at, n)
		}
	}
}

// TestRandomBulkInstructionsInPieces does thousands of them in few bytes, at both
// ends of memory.
func TestRandomBulkInstructionsInPieces(t *testing.T) {
	for _, piece := range []uint32{1, 2, 7, 16, 1000} {
		b := newBulkInstance(t, piece)
		random := rand.New(rand.NewPCG(uint64(piece), 1))
		for range 2000 {
			name := []string{"fill", "copy"}[random.IntN(2)]
			n := random.Uint32N(4*piece + 2)
			address := func() uint32 { return random.Uint32N(6*piece+2) + random.Uint32N(2)*(1<<16-6*piece) }
			b.do(name, address(), address(), n)
		}
	}
}

// TestAPieceIsAMebibyte holds the length of a piece that the sandbox gets, and
// that nothing yields up to it.
func TestAPieceIsAMebibyte(t *testing.T) {
	const piece = 1 << 20
	b := newBulkInstance(t, 0)
	b.piece = piece
	_, ok := b.mod.Memory().Grow(4*piece>>16 - 1)
	require.True(t, ok)
	b.want = bytes.Clone(b.memory())
	for _, n := range []uint32{piece, piece + 1, 2 * piece, 3 * piece, 4 * piece} {
		b.do("fill", 4*piece-n, n/piece, n)
		b.do("copy", 0, 4*piece-n, n)
		b.do("copy", 4*piece-n, 0, n)
		b.do("copy", 4*piece-n+1, 0, n)
	}
}
