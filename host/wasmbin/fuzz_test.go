package wasmbin_test

import (
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"

	"spore/host/wasmbin"
)

// seeds are small modules that between them have all sections, types, kinds of
// segments and shapes of instructions.
func seeds() [][]byte {
	s := sections()
	return [][]byte{
		nil,
		module(),
		assemble(s),
		everything(),
		module(voidType, oneFunc, oneMemory, code(0x03, 0x40, 0x0b)),
		module(section(1, 1, 0x60, 0, 1, 0x7f), oneFunc, section(4, 1, 0x70, 0, 2), oneMemory, section(9, 1, 0, 0x41, 0, 0x0b, 1, 0), code(0x41, 1)),
		module(oneMemory, section(6, 1, 0x7e, 1, 0x42, 5, 0x0b), section(11, 1, 0, 0x41, 3, 0x0b, 2, 'h', 'i')),
		module(section(0, 4, 'n', 'a', 'm', 'e', 1, 2, 0, 0), voidType, oneFunc, oneMemory, section(8, 0), code()),
		// call in a loop with br_if; bulk instructions with parameters for operands
		module(section(1, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0), oneFunc, oneMemory,
			code(0x03, 0x40, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 0, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0x10, 0, 0x20, 2, 0x0d, 0, 0x0b)),
		// what is refused: passive segments, table instructions, references in code, later proposals
		module(voidType, oneFunc, oneMemory, section(12, 1), code(0xfc, 9, 0), section(11, 1, 1, 1, 'x')),
		module(voidType, oneFunc, section(4, 1, 0x6f, 0, 1), oneMemory, code(0x41, 0, 0xd0, 0x6f, 0x26, 0)),
		module(voidType, oneFunc, oneMemory, section(8, 0), code(0xd2, 0, 0x1a)),
		module(voidType, oneFunc, oneMemory, code(0x12, 0)),
	}
}

// FuzzParse holds that Parse returns a module or an *Error that lies within the
// file, and allocates in proportion to it.
func FuzzParse(f *testing.F) {
	for _, wasm := range seeds() {
		f.Add(wasm)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		var m *wasmbin.Module
		var err error
		if used := allocated(func() { m, err = wasmbin.Parse(wasm) }); used > uint64(64*len(wasm)+64<<10) {
			t.Fatalf("%d bytes allocated for %d", used, len(wasm))
		}
		var at *wasmbin.Error
		switch {
		case err == nil && m == nil:
			t.Fatal("neither a module nor an error")
		case err == nil:
		case m != nil:
			t.Fatalf("a module beside the error %v", err)
		case !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(wasm):
			t.Fatalf("error %v for %d bytes", err, len(wasm))
		}
	})
}

// FuzzRewrite holds that the engine says the same of a module before and after the
// rewrite, if there is one.
func FuzzRewrite(f *testing.F) {
	for _, wasm := range seeds() {
		f.Add(wasm)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, err := rewrite(wasm)
		if err != nil {
			if out != nil {
				t.Fatalf("a module beside the error %v", err)
			}
			return
		}
		rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
		defer rt.Close(t.Context())
		before, after := compile(t.Context(), rt, withoutCustom(wasm)), compile(t.Context(), rt, out.Wasm)
		if (before == nil) != (after == nil) {
			t.Fatalf("before the rewrite: %v, after it: %v", before, after)
		}
	})
}

// withoutCustom returns a module that Parse accepts without its custom sections,
// which the engine would believe.
func withoutCustom(wasm []byte) []byte {
	kept := wasm[:8:8]
	for at := 8; at < len(wasm); {
		next := nextSection(wasm, at)
		if wasm[at] != 0 {
			kept = append(kept, wasm[at:next]...)
		}
		at = next
	}
	return kept
}
