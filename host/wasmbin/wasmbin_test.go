package wasmbin_test

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"spore/host/internal/testmodule"
	"spore/host/wasmbin"
)

func leb(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func section(id byte, content ...byte) []byte {
	return append(append([]byte{id}, leb(uint64(len(content)))...), content...)
}

func module(sections ...[]byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return b
}

var (
	voidType  = section(1, 1, 0x60, 0, 0)
	oneFunc   = section(3, 1, 0)
	oneMemory = section(5, 1, 0, 1)
)

// code is a code section with one function of these instructions.
func code(instructions ...byte) []byte {
	body := append(append([]byte{0}, instructions...), 0x0b)
	return section(10, append(append([]byte{1}, leb(uint64(len(body)))...), body...)...)
}

func rewrite(wasm []byte) (*wasmbin.Rewritten, error) {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return nil, err
	}
	return m.Rewrite(wasmbin.Options{MemoryPages: 16, Fuel: 100})
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"an empty file":                           {nil, "not a WebAssembly binary"},
		"the text format":                         {[]byte("\n (module)\n"), "text format"},
		"a gzip file":                             {[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"), "gzip"},
		"a component":                             {[]byte("\x00asm\x0d\x00\x01\x00"), "component"},
		"an unknown version":                      {[]byte("\x00asm\x02\x00\x00\x00"), "unknown version"},
		"a section past the end":                  {module([]byte{1, 100, 1}), "100 bytes where 1 are left"},
		"sections out of order":                   {module(oneMemory, voidType), "out of order"},
		"an unknown section":                      {module(section(77)), "section 77 is not supported"},
		"bytes left in a section":                 {module(section(1, 0, 0)), "after the end of the type section"},
		"no memory":                               {module(voidType), "no memory"},
		"two memories":                            {module(section(5, 2, 0, 1, 0, 1)), "2 memories"},
		"a shared memory":                         {module(section(5, 1, 3, 1, 2)), "shared"},
		"a memory below its minimum":              {module(section(5, 1, 1, 2, 1)), "a minimum of 2 and a maximum of 1"},
		"a memory of four gigabytes and a page":   {module(section(5, append([]byte{1, 1, 1}, leb(65537)...)...)), "65537 pages"},
		"two tables":                              {module(section(4, 2, 0x70, 0, 0, 0x70, 0, 0), oneMemory), "2 tables"},
		"a table of 200,001":                      {module(section(4, append([]byte{1, 0x70, 0}, leb(200_001)...)...), oneMemory), "200001 entries"},
		"a table below its minimum":               {module(section(4, 1, 0x70, 1, 2, 1), oneMemory), "a minimum of 2 and a maximum of 1"},
		"a table of numbers":                      {module(section(4, 1, 0x7f, 0, 1), oneMemory), "not a reference"},
		"an imported memory":                      {module(section(2, 1, 1, 'a', 1, 'b', 2, 0, 1)), "not a function"},
		"the same export twice":                   {module(oneMemory, section(7, 2, 1, 'm', 2, 0, 1, 'm', 2, 0)), "twice"},
		"an export of spore's own":                {module(oneMemory, section(7, 1, 7, 's', 'p', 'o', 'r', 'e', ':', 'x', 2, 0)), "spore's own"},
		"a passive data segment":                  {module(oneMemory, section(11, 1, 1, 1, 'x')), "passive"},
		"a data offset that is no constant":       {module(oneMemory, section(11, 1, 0, 0x23, 0, 0x0b, 0)), "not a constant"},
		"a mutable global that is no number":      {module(oneMemory, section(6, 1, 0x70, 1, 0xd0, 0x70, 0x0b)), "numbers only"},
		"a global that may change a little":       {module(oneMemory, section(6, 1, 0x7f, 2, 0x41, 0, 0x0b)), "mutability 2"},
		"a start function that is not there":      {module(oneMemory, section(8, 3)), "start function"},
		"a start function with a result":          {module(section(1, 1, 0x60, 0, 1, 0x7f), oneFunc, oneMemory, section(8, 0), code(0x41, 0)), "parameters or results"},
		"an export of a global that is not there": {module(oneMemory, section(7, 1, 1, 'g', 3, 0)), "does not exist"},
		"an export of an unknown kind":            {module(oneMemory, section(7, 1, 1, 'x', 4, 0)), "does not exist"},
		"a data segment beyond the memory":        {module(oneMemory, section(11, 1, 0, 0x41, 0x7f, 0x0b, 1, 'x')), "beyond the initial memory"},
		"a data count that is wrong":              {module(oneMemory, section(12, 1)), "data count"},
		"a constant of 33 bits":                   {module(oneMemory, section(6, 1, 0x7f, 0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x18, 0x0b)), "integer over 32 bits"},
		"a value type of a later proposal":        {module(section(1, 1, 0x60, 1, 0x63, 0x70, 0), oneMemory), "0x63"},
		"functions without bodies":                {module(voidType, oneFunc, oneMemory), "differ in length"},
		"an unknown instruction":                  {module(voidType, oneFunc, oneMemory, code(0x06)), "0x6 is not supported"},
		"table.grow":                              {module(voidType, oneFunc, oneMemory, code(0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a)), "changes tables"},
		"memory.fill of another memory":           {module(voidType, oneFunc, oneMemory, code(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 1)), "memory 1 does not exist"},
		"memory.copy from another memory":         {module(voidType, oneFunc, oneMemory, code(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 1)), "memory 1 does not exist"},
		"memory.copy to memory 0 in two bytes":    {module(voidType, oneFunc, oneMemory, code(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0x80, 0, 0)), "memory 128 does not exist"},
		"table.set":                               {module(voidType, oneFunc, oneMemory, code(0x41, 0, 0xd0, 0x70, 0x26, 0)), "changes tables"},
		"a reference to a function in code":       {module(voidType, oneFunc, oneMemory, section(6, 1, 0x70, 0, 0xd2, 0, 0x0b), code(0xd2, 0, 0x1a)), "ref.func in a function"},
		"code behind the end of a function":       {module(voidType, oneFunc, oneMemory, code(0x0b, 0x01)), "after the end of a function"},
		"a function without an end":               {module(voidType, oneFunc, oneMemory, code(0x02, 0x40)), "unexpected end"},
		"more memory than the limit":              {module(section(5, 1, 0, 17)), "raise memory"},
		"a hundred thousand locals":               {module(voidType, oneFunc, oneMemory, section(10, append([]byte{1, 6, 1}, append(leb(100_000), 0x7f, 0x0b)...)...)), "locals"},
		"blocks nested without end":               {module(voidType, oneFunc, oneMemory, code([]byte(strings.Repeat("\x02\x40", 30_000))...)), "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rewrite(tc.wasm)
			require.ErrorContains(t, err, tc.want)
			var e *wasmbin.Error
			require.ErrorAs(t, err, &e)
		})
	}
}

// TestRewriteOfAHandmadeModule runs a rewritten module: calls, the start
// function, element segments and exports still mean the same functions although
// all indices moved, and loops call yield.
func TestRewriteOfAHandmadeModule(t *testing.T) {
	wasm := module(
		section(1, 2, 0x60, 0, 0, 0x60, 0, 1, 0x7f), // () and () -> i32
		section(3, 4, 0, 1, 1, 0),
		section(4, 1, 0x70, 0, 2),
		oneMemory,
		section(6, 1, 0x7f, 1, 0x41, 5, 0x0b),
		section(7, 2, 3, 'r', 'u', 'n', 0, 2, 4, 'l', 'o', 'o', 'p', 0, 3),
		section(8, 0),
		section(9, 1, 0, 0x41, 1, 0x0b, 1, 1), // table[1] = function 1
		section(10, 4,
			6, 0, 0x41, 7, 0x24, 0, 0x0b, // 0, start: global 0 = 7
			4, 0, 0x23, 0, 0x0b, // 1: global 0
			11, 0, 0x10, 1, 0x41, 1, 0x11, 1, 0, 0x6a, 0x0f, 0x0b, // 2, run: call 1 + call_indirect table[1]
			20, 1, 1, 0x7f, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0xe8, 7, 0x48, 0x0d, 0, 0x0b, 0x0b),
		section(11, 1, 0, 0x41, 3, 0x0b, 2, 'h', 'i'),
	)
	m, err := wasmbin.Parse(wasm)
	require.NoError(t, err)
	require.Equal(t, []wasmbin.Segment{{Offset: 3, Bytes: []byte("hi")}}, m.Data)
	out, err := m.Rewrite(wasmbin.Options{MemoryPages: 16, Fuel: 100})
	require.NoError(t, err)

	ctx := t.Context()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	yields := 0
	_, err = rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().
		WithFunc(func(context.Context, int32) int64 { yields++; return 100 }).Export(wasmbin.Yield).Instantiate(ctx)
	require.NoError(t, err)
	mod, err := rt.Instantiate(ctx, out.Wasm)
	require.NoError(t, err)
	require.Equal(t, uint64(5), mod.ExportedGlobal(wasmbin.GlobalExport+"0").Get(), "the start function has not run by itself")
	_, err = mod.ExportedFunction(wasmbin.StartExport).Call(ctx)
	require.NoError(t, err)
	res, err := mod.ExportedFunction("run").Call(ctx)
	require.NoError(t, err)
	require.Equal(t, []uint64{14}, res)
	view, _ := mod.Memory().Read(3, 2)
	require.Equal(t, []byte{0, 0}, view, "data is the host's to write")
	_, err = mod.ExportedFunction("loop").Call(ctx)
	require.NoError(t, err)
	require.InDelta(t, 1000*7/100, yields, 5, "a thousand iterations of seven instructions that count, of a hundred a slice")
	mod.ExportedGlobal(wasmbin.GlobalExport + "1").(api.MutableGlobal).Set(1 << 40)
	yields = 0
	_, err = mod.ExportedFunction("loop").Call(ctx)
	require.NoError(t, err)
	require.Zero(t, yields)
}

// TestFuelIsChargedWithoutLoops counts yields of a call tree and of a bulk
// instruction, neither of which has a loop.
func TestFuelIsChargedWithoutLoops(t *testing.T) {
	call := []byte{0x20, 0, 0x41, 1, 0x6b, 0x10, 0} // tree(n - 1)
	tree := append(append(append([]byte{0, 0x20, 0, 0x04, 0x40}, call...), call...), 0x0b, 0x0b)
	fill := []byte{1, 2, 0x7e, 0x41, 0, 0x41, 7, 0x41, 0x80, 0x80, 4, 0xfc, 11, 0, 0x0b} // 65,536 bytes
	wasm := module(
		section(1, 2, 0x60, 1, 0x7f, 0, 0x60, 0, 0),
		section(3, 2, 0, 1),
		oneMemory,
		section(7, 2, 4, 't', 'r', 'e', 'e', 0, 0, 4, 'f', 'i', 'l', 'l', 0, 1),
		section(10, append(append(append([]byte{2, byte(len(tree))}, tree...), byte(len(fill))), fill...)...),
	)
	out, err := rewrite(wasm)
	require.NoError(t, err)
	ctx := t.Context()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	yields := 0
	_, err = rt.NewHostModuleBuilder(wasmbin.YieldModule).NewFunctionBuilder().
		WithFunc(func(context.Context, int32) int64 { yields++; return 100 }).Export(wasmbin.Yield).Instantiate(ctx)
	require.NoError(t, err)
	mod, err := rt.Instantiate(ctx, out.Wasm)
	require.NoError(t, err)
	_, err = mod.ExportedFunction("tree").Call(ctx, 10)
	require.NoError(t, err)
	require.Greater(t, yields, 2047*9/100, "2,047 calls of nine instructions")
	yields = 0
	for range 10 {
		_, err = mod.ExportedFunction("fill").Call(ctx)
		require.NoError(t, err)
	}
	require.Equal(t, 10, yields, "4,096 units each, of 100 left")
	view, _ := mod.Memory().Read(65535, 1)
	require.Equal(t, []byte{7}, view)
}

func TestGoModuleStaysWellBelowTheLimits(t *testing.T) {
	wasm := testmodule.Build(t, "../../modules/hello")
	m, err := wasmbin.Parse(wasm)
	require.NoError(t, err)
	require.Greater(t, len(m.Data), 1000)
	_, err = m.Rewrite(wasmbin.Options{MemoryPages: 1024, Fuel: 1000})
	require.NoError(t, err)
	_, ok := m.FuncExport("spore_serve")
	require.True(t, ok)
	require.True(t, m.ExportsMemory("memory"))
}
