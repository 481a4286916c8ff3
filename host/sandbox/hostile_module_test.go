package sandbox_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// withSection returns a module with one more section, in its place or behind the
// memory section.
func withSection(t *testing.T, guest handmade, id byte, content []byte) []byte {
	t.Helper()
	wasm := guest.bytes()
	before := section(5, oneMemory)
	if id > 5 {
		before = section(6, vec())
	}
	require.Equal(t, 1, bytes.Count(wasm, before))
	return bytes.Replace(wasm, before, cat(section(id, content), before), 1)
}

func requireRefused(t *testing.T, wasm []byte, want string) {
	t.Helper()
	_, err := openEngine(t, sandbox.Options{Directory: t.TempDir()}).Prepare(t.Context(), wasm, capable())
	require.ErrorContains(t, err, want)
	require.Equal(t, abi.Invalid, function.KindOf(err))
}

// TestG7Tables loads modules whose tables would grow, or be large from the start.
func TestG7Tables(t *testing.T) {
	table := func(limits ...[]byte) []byte { return vec(cat([]byte{0x70}, cat(limits...))) }
	good := handmade{serve: []step{take(anyResult), respond()}}
	tables := make([][]byte, 1000)
	for i := range tables {
		tables[i] = []byte{0x70, 0, 1}
	}
	grow := []byte{0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a} // one more null reference
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"a minimum of 2^27":                 {withSection(t, good, 4, table([]byte{0}, leb(1<<27))), "a table of 134217728 entries; spore accepts 200000"},
		"a minimum and a maximum of 2^32-1": {withSection(t, good, 4, table([]byte{1}, leb(1<<32-1), leb(1<<32-1))), "a table of 4294967295 entries"},
		"a thousand tables":                 {withSection(t, good, 4, vec(tables...)), "1000 tables; spore accepts 1"},
		"table.grow without a maximum":      {withSection(t, handmade{serve: []step{raw(grow...)}}, 4, table([]byte{0, 1})), "changes tables"},
		"table.grow that is never reached":  {withSection(t, handmade{serve: []step{raw(0x41, 0, 0x04, 0x40), raw(grow...), raw(0x0b)}}, 4, table([]byte{0, 1})), "changes tables"},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, tc.wasm, tc.want) })
	}
	for name, limits := range map[string][]byte{
		"no maximum":          {0, 1},
		"a maximum of 2^32-1": cat([]byte{1, 1}, leb(1<<32-1)),
	} {
		t.Run(name, func(t *testing.T) {
			img, err := openEngine(t, sandbox.Options{Directory: t.TempDir()}).Prepare(t.Context(), withSection(t, good, 4, table(limits)), capable())
			require.NoError(t, err)
			defer img.Close()
		})
	}
}

// TestG17UnsupportedModules loads modules that want what this host does not have.
// Each is refused when it is loaded, by a message that names what it is. More of
// the row is in TestRefusedModules.
func TestG17UnsupportedModules(t *testing.T) {
	instructions := func(code ...byte) []byte { return handmade{serve: []step{raw(code...)}}.bytes() }
	other := func(name string, kind ...byte) []byte {
		return handmade{imports: [][]byte{cat(str("env"), str(name), kind)}}.bytes()
	}
	memory := func(content ...byte) []byte {
		return bytes.Replace(instructions(), section(5, oneMemory), section(5, content), 1)
	}
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"an unknown function of a known module": {handmade{names: map[string]string{abi.ImportLog: "metric"}}.bytes(), "spore1.metric does not exist"},
		"a function of an unknown module":       {other("f", 0, 0), "env.f does not exist"},
		"a signature of another kind":           {handmade{types: map[string]string{abi.ImportLog: "II"}}.bytes(), "spore1.log has another signature"},
		"the function that grants fuel":         {handmade{imports: [][]byte{cat(str("spore:host"), str("yield"), []byte{0, 0})}}.bytes(), "spore:host.yield does not exist"},
		"an imported memory":                    {other("memory", 2, 0, 1), `import "env"."memory" is not a function`},
		"an imported table":                     {other("table", 1, 0x70, 0, 1), `import "env"."table" is not a function`},
		"an imported tag":                       {other("tag", 4, 0, 0), `import "env"."tag" is not a function`},
		"no spore_serve":                        {handmade{exports: map[string]string{abi.ExportServe: ""}}.bytes(), "spore_serve()"},
		"no start":                              {handmade{exports: map[string]string{abi.ExportStart: ""}}.bytes(), "one of _start and _initialize"},
		"two starts":                            {handmade{exports: map[string]string{abi.ExportInitialize: "start"}}.bytes(), "one of _start and _initialize"},
		"two memories":                          {memory(2, 0, 1, 0, 1), "2 memories; spore accepts 1"},
		"a shared memory":                       {memory(1, 3, 1, 2), "shared or 64-bit"},
		"a 64-bit memory":                       {memory(1, 4, 1), "shared or 64-bit"},
		"threads: an atomic load":               {instructions(0x41, 0, 0xfe, 0x10, 2, 0, 0x1a), "0xfe is not supported (threads)"},
		"threads: a fence":                      {instructions(0xfe, 0x03, 0), "0xfe is not supported (threads)"},
		"relaxed SIMD":                          {instructions(0xfd, 0x80, 0x02), "0xfd 256 is not supported"},
		"exceptions: try_table":                 {instructions(0x1f, 0x40, 0, 0x0b), "0x1f is not supported (exceptions)"},
		"exceptions: try":                       {instructions(0x06, 0x40, 0x0b), "0x6 is not supported (exceptions)"},
		"exceptions: throw":                     {instructions(0x08, 0), "0x8 is not supported (exceptions)"},
		"exceptions: a tag":                     {withSection(t, handmade{}, 13, vec([]byte{0, 0})), "section 13 is not supported"},
		"tail calls: return_call":               {instructions(0x12, 0), "0x12 is not supported (tail calls)"},
		"tail calls: return_call_indirect":      {instructions(0x41, 0, 0x13, 0, 0), "0x13 is not supported (tail calls)"},
		"garbage collection: struct.new":        {instructions(0xfb, 0, 0), "0xfb is not supported"},
		"typed references: call_ref":            {instructions(0x14, 0), "0x14 is not supported"},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, tc.wasm, tc.want) })
	}
}

// TestG17SIMDIsSupported because clang and rustc emit it unasked.
func TestG17SIMDIsSupported(t *testing.T) {
	vectors := raw(0x41, 0, 0xfd, 0, 4, 0, 0x41, 7, 0xfd, 15, 0xfd, 110, 0x1a) // v128.load, i8x16.splat, i8x16.add
	_, err := handmade{serve: []step{take(anyResult), vectors, respond()}}.serveOnce(t, abi.Event{})
	require.NoError(t, err)
}

// TestG1FuelIsOutOfReach loads a guest that would fill up its own fuel, by the index
// the fuel gets from the rewrite, and loop for ever.
func TestG1FuelIsOutOfReach(t *testing.T) {
	for index := range byte(4) {
		refuel := handmade{serve: []step{raw(0x42, 0x7f, 0x24, index)}}
		requireRefused(t, refuel.bytes(), "does not exist")
	}
}
