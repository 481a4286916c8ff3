package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// more returns a module with n more items, whose bytes are given, at the end of the
// section id.
func more(t *testing.T, wasm []byte, id byte, n int, items []byte) []byte {
	t.Helper()
	for at := 8; at < len(wasm); {
		size, width := binary.Uvarint(wasm[at+1:])
		content := wasm[at+1+width:][:size]
		next := at + 1 + width + int(size)
		if wasm[at] == id {
			had, width := binary.Uvarint(content)
			return cat(wasm[:at], section(id, cat(leb(int(had)+n), content[width:], items)), wasm[next:])
		}
		at = next
	}
	t.Fatalf("no section %d", id)
	return nil
}

// TestM2MonstersAreCompiledAndOpened has modules at the limits of what is accepted go the
// whole way. Their code is compiled in another process, but it is this one that decodes
// their skeletons and makes instances. host/wasmbin has the modules that are refused, and
// what reading and rewriting takes.
func TestM2MonstersAreCompiledAndOpened(t *testing.T) {
	const mib = 1 << 20
	guest := func(change func(m *handmade)) []byte {
		m := handmade{serve: []step{take(anyResult), respond()}}
		change(&m)
		return m.bytes()
	}
	plain := guest(func(*handmade) {})
	void := byte(len(handmade{}.functions())) // index of the type of neither parameters nor results, and of main
	functions, types := 200_000-int(void)-5, 20_000-int(void)-2
	number := bytes.Repeat([]byte{0x7f}, 1_000)
	different := func(n int) (items []byte) {
		for i := range n {
			items = append(items, 0x60, 8)
			for digit := range 8 {
				items = append(items, 0x7f-byte(i>>(2*digit)&3))
			}
			items = append(items, 0)
		}
		return items
	}
	segment := []byte{0, 0x41, 0, 0x0b, 2, void, void}
	for name, tc := range map[string]struct {
		wasm []byte
		most int64  // of memory
		want string // "" when it is accepted
	}{
		// The functions are read, rewritten and decoded one after the other, and each leaves a share.
		"200,000 functions":             {more(t, more(t, plain, 3, functions, bytes.Repeat([]byte{void}, functions)), 10, functions, bytes.Repeat([]byte{2, 0, 0x0b}, functions)), 128 * mib, ""},
		"20,000 types":                  {more(t, plain, 1, types, bytes.Repeat([]byte{0x60, 0, 0}, types)), 64 * mib, ""},
		"12,000 different types":        {more(t, plain, 1, 12_000, different(12_000)), 64 * mib, ""},
		"90 types of 1,000 parameters":  {more(t, plain, 1, 90, bytes.Repeat(cat([]byte{0x60}, leb(len(number)), number, []byte{0}), 90)), 64 * mib, ""},
		"50,000 locals":                 {guest(func(m *handmade) { m.locals = 50_000 }), 64 * mib, ""},
		"50,000 locals in 90 functions": {guest(func(m *handmade) { m.locals, m.copies = 50_000, 89 }), 64 * mib, ""},
		"a function of 120,000 loads":   {guest(func(m *handmade) { m.serve = append(m.serve, raw(bytes.Repeat([]byte{0x41, 0, 0x1a}, 60_000)...)) }), 64 * mib, ""},
		"10,000 globals":                {more(t, plain, 6, 10_000, bytes.Repeat([]byte{0x7f, 1, 0x41, 0, 0x0b}, 10_000)), 64 * mib, ""},
		"a constant expression of 8 MB": {guest(func(m *handmade) {
			m.globals = [][]byte{cat([]byte{0x7f, 0}, bytes.Repeat([]byte{0x41, 0}, 4_000_000), []byte{0x0b})}
		}), 64 * mib, "more than one value at end of constant expression"},
		"a table of 200,001": {guest(func(m *handmade) { m.table = [][]byte{cat([]byte{0x70, 0}, leb(200_001))} }), 64 * mib, "200001 entries; spore accepts 200000"},
		"200,000 elements": {guest(func(m *handmade) {
			m.table = [][]byte{cat([]byte{0x70, 0}, leb(200_000))}
			m.elements = [][]byte{cat([]byte{0, 0x41, 0, 0x0b}, leb(200_000), bytes.Repeat([]byte{void}, 200_000))}
		}), 64 * mib, ""},
		"100,000 element segments": {more(t, guest(func(m *handmade) { m.table, m.elements = [][]byte{{0x70, 0, 4}}, [][]byte{segment} }),
			9, 99_999, bytes.Repeat(segment, 99_999)), 64 * mib, ""},
		"90,000 data segments":          {more(t, plain, 11, 90_000, bytes.Repeat([]byte{0, 0x41, 0, 0x0b, 1, 0}, 90_000)), 64 * mib, ""},
		"100,000 empty custom sections": {append(bytes.Clone(plain), make([]byte, 200_000)...), 64 * mib, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Idle: time.Nanosecond, Compiler: compiler("well")})
			var img *sandbox.Image
			var err error
			prepared, _ := rise(t, func() { img, err = e.Prepare(t.Context(), tc.wasm, capable()) })
			require.Less(t, prepared, tc.most, "a module of %d bytes is prepared", len(tc.wasm))
			if tc.want != "" {
				require.ErrorContains(t, err, tc.want)
				require.Equal(t, abi.Invalid, function.KindOf(err))
				return
			}
			require.NoError(t, err)
			defer img.Close()
			woken, left := rise(t, func() {
				for range 2 {
					require.False(t, img.Resident())
					_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
					require.NoError(t, err)
					sandbox.Sweep(e)
				}
			})
			require.Less(t, woken, int64(64*mib), "it comes back from rest")
			require.Less(t, left, int64(16*mib), "it is at rest again")
		})
	}
}
