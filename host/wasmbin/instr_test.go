package wasmbin_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"
)

// instructions returns every instruction of WebAssembly 2.0 that spore accepts.
// Immediates are the byte of end wherever that is possible, so that whoever takes
// one for an instruction ends a block.
func instructions() (list [][]byte) {
	const end = 0x0b
	add := func(b ...byte) { list = append(list, b) }
	add(0x02, end, end)                             // block of type 11
	add(0x03, end, end)                             // loop
	add(0x04, end, 0x05, end)                       // if, else
	add(0x0c, end)                                  // br
	add(0x0d, end)                                  // br_if
	add(0x0e, 3, end, end, end, end)                // br_table
	add(0x10, end)                                  // call
	add(0x11, end, 0)                               // call_indirect
	add(0x1c, 1, 0x7f)                              // select
	add(0x25, 0)                                    // table.get
	add(0x3f, 0)                                    // memory.size
	add(0x40, 0)                                    // memory.grow
	add(0x41, end)                                  // i32.const
	add(0x42, end)                                  // i64.const
	add(0x43, end, end, end, end)                   // f32.const
	add(append([]byte{0x44}, repeat(8, end)...)...) // f64.const
	add(0xd0, 0x70)                                 // ref.null
	add(0xfc, 10, 0, 0)                             // memory.copy
	add(0xfc, 11, 0)                                // memory.fill
	add(0xfc, 16, 0)                                // table.size
	for _, op := range []byte{0x00, 0x01, 0x0f, 0x1a, 0x1b, 0xd1} {
		add(op)
	}
	for op := byte(0x20); op <= 0x24; op++ { // locals and globals
		add(op, end)
	}
	for op := byte(0x28); op <= 0x3e; op++ { // loads and stores
		add(op, 0, end)
	}
	for op := byte(0x45); op <= 0xc4; op++ { // on numbers
		add(op)
	}
	for sub := byte(0); sub < 8; sub++ { // saturating conversions
		add(0xfc, sub)
	}
	unassigned := []uint64{154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238}
	for sub := range uint64(256) { // on vectors
		b := append([]byte{0xfd}, leb(sub)...)
		switch {
		case slices.Contains(unassigned, sub):
			continue
		case sub <= 11 || sub == 92 || sub == 93:
			b = append(b, 0, end)
		case sub == 12 || sub == 13:
			b = append(b, repeat(16, end)...)
		case sub >= 21 && sub <= 34:
			b = append(b, 1)
		case sub >= 84 && sub <= 91:
			b = append(b, 0, end, 1)
		}
		add(b...)
	}
	return list
}

// TestTheEngineSeesTheSameInstructions holds that an instruction is as long for the
// engine as it is for the rewriter, in code that is dead, where an engine skips it.
// A difference would hide code from one of the two.
func TestTheEngineSeesTheSameInstructions(t *testing.T) {
	o := newOracle(t, api.CoreFeaturesV2)
	types := append(repeat(13, 0x60, 0, 0), 0x60, 0, 1, 0x7f)
	things := func(id byte, item ...byte) []byte { return vec(id, 12, repeat(12, item...)...) }
	for _, instruction := range instructions() {
		f := slices.Concat([]byte{1, 12, 0x7f}, repeat(12, 0x02, 0x40), // 12 locals in 12 blocks
			[]byte{0x41, 1, 0x0d, 0, 0x00}, instruction, []byte{0x00}, // i32.const 1; br_if 0; unreachable
			repeat(12, 0x0b), []byte{0x41, 42, 0x0b})
		wasm := module(vec(1, 14, types...), vec(3, 13, append([]byte{13}, make([]byte, 12)...)...), section(4, 1, 0x70, 0, 1), oneMemory,
			things(6, 0x7f, 1, 0x41, 0, 0x0b), section(7, 1, 1, 'f', 0, 0), vec(9, 1, append([]byte{3, 0, 13}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)...),
			bodies(append([][]byte{f}, slices.Repeat([][]byte{{0, 0x0b}}, 12)...)...))
		s := o.instantiate(wasm, "")
		require.NotNil(t, s, "%x", instruction)
		require.False(t, s.refused, "%x", instruction)
		o.call(s, "f", nil)
		results, err := s.rewritten.ExportedFunction("f").Call(t.Context())
		require.NoError(t, err, "%x", instruction)
		require.Equal(t, []uint64{42}, results, "%x", instruction)
	}
	require.Greater(t, o.modules, 400)
}
