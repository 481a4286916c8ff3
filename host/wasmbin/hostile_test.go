package wasmbin_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"spore/host/internal/testmodule"
	"spore/host/wasmbin"
)

var long = flag.Bool("long", false, "run tests at their full length")

// The rows M1 to M5 are attacks on a host that loads a module.

// allocated returns the bytes that f allocates, while nothing else runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// repeat is n times b.
func repeat(n int, b ...byte) []byte { return bytes.Repeat(b, n) }

// vec is a section of n items.
func vec(id byte, n int, items ...byte) []byte {
	return section(id, append(leb(uint64(n)), items...)...)
}

// bodies is a code section with these functions, locals included.
func bodies(functions ...[]byte) []byte {
	content := leb(uint64(len(functions)))
	for _, f := range functions {
		content = append(append(content, leb(uint64(len(f)))...), f...)
	}
	return section(10, content...)
}

// sections are those of a small module that has all of them, by id.
func sections() [13][]byte {
	return [13][]byte{
		1:  voidType,
		2:  section(2, 1, 1, 'a', 1, 'b', 0, 0),
		3:  oneFunc,
		4:  section(4, 1, 0x70, 0, 1),
		5:  oneMemory,
		6:  section(6, 1, 0x7f, 1, 0x41, 5, 0x0b),
		7:  section(7, 1, 1, 'm', 2, 0),
		8:  section(8, 1),
		9:  section(9, 1, 0, 0x41, 0, 0x0b, 1, 1),
		10: code(0x03, 0x40, 0x0b),
		11: section(11, 1, 0, 0x41, 3, 0x0b, 2, 'h', 'i'),
		12: section(12, 1),
	}
}

// assemble puts sections in order: data count stands before code.
func assemble(s [13][]byte) []byte {
	return module(slices.Concat(s[1:10], [][]byte{s[12], s[10], s[11]})...)
}

// everything is a module with most kinds of instructions, segments and types.
func everything() []byte {
	work := slices.Concat([]byte{3, 2, 0x7f, 1, 0x7b, 1, 0x70}, // locals: two i32, a v128, a funcref
		[]byte{0x02, 0x40, 0x03, 0x7f, 0x20, 0, 0x04, 0x40, 0x0c, 2, 0x05, 0x20, 1, 0x41, 1, 0x6a, 0x21, 1, 0x0b, 0x41, 3, 0x0b, 0x1a, 0x0b}, // blocks
		[]byte{0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 2, 0, 1, 0, 0x0b, 0x0b},                                                                // br_table
		[]byte{0x20, 0, 0x10, 0, 0x1a, 0x41, 1, 0x41, 0, 0x11, 1, 0, 0x1a},                                                                   // calls
		[]byte{0x23, 1, 0x42, 5, 0x7c, 0x24, 1, 0x43, 0, 0, 0x80, 0x3f, 0x1a, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xfc, 6, 0x1a},             // globals, numbers
		[]byte{0x41, 8, 0x41, 8, 0x28, 2, 4, 0x36, 2, 0, 0x3f, 0, 0x1a, 0x41, 0, 0x40, 0, 0x1a},                                              // memory
		[]byte{0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 10, 0, 0, 0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 11, 0, 0xfc, 16, 0, 0x1a},                         // bulk
		[]byte{0x41, 0, 0xfd, 0, 4, 0, 0x41, 7, 0xfd, 15, 0xfd, 110, 0xfd, 22, 3, 0x1a, 0xfd, 12}, make([]byte, 16), []byte{0x1a},            // vectors
		[]byte{0xd0, 0x70, 0xd1, 0x1a, 0xd0, 0x6f, 0x1a, 0x41, 1, 0x41, 2, 0x41, 3, 0x1c, 1, 0x7f, 0x1a, 0x0b}) // references
	return module(
		section(1, 3, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 2, 0x7e, 0x7d, 2, 0x7c, 0x7b),
		section(2, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 1),
		section(3, 2, 1, 0),
		section(4, 1, 0x70, 1, 2, 9),
		section(5, 1, 1, 1, 2),
		section(6, 3, 0x7f, 0, 0x41, 5, 0x0b, 0x7e, 1, 0x42, 0x7f, 0x0b, 0x70, 0, 0xd2, 1, 0x0b),
		section(7, 4, 1, 'm', 2, 0, 1, 'f', 0, 1, 1, 'g', 3, 0, 1, 't', 1, 0),
		section(8, 2),
		section(9, 3, 0, 0x41, 0, 0x0b, 1, 1, 4, 0x41, 1, 0x0b, 1, 0xd2, 1, 0x0b, 3, 0, 1, 1),
		section(12, 2),
		bodies([]byte{0, 0x20, 0, 0x0b}, work),
		section(11, 2, 0, 0x41, 3, 0x0b, 2, 'h', 'i', 2, 0, 0x41, 4, 0x0b, 1, '!'),
	)
}

// TestM1CountsBeyondTheBytes gives every section of a good module counts that its
// bytes cannot hold, with no bytes behind them and with many.
func TestM1CountsBeyondTheBytes(t *testing.T) {
	_, err := rewrite(assemble(sections()))
	require.NoError(t, err)
	start, tried := time.Now(), 0
	for id := 1; id <= 12; id++ {
		for _, n := range []uint64{1<<32 - 1, 1 << 31, 100_000_000, 1_000_000} {
			for _, filler := range []int{0, 300_000} {
				s := sections()
				s[id] = section(byte(id), append(leb(n), make([]byte, filler)...)...)
				wasm := assemble(s)
				var err error
				used := allocated(func() { _, err = rewrite(wasm) })
				var at *wasmbin.Error
				require.ErrorAs(t, err, &at, "section %d, count %d", id, n)
				require.Less(t, used, uint64(4*len(wasm)+16<<10), "section %d, count %d: %v", id, n, err)
				tried++
			}
		}
	}
	require.Less(t, time.Since(start), time.Duration(tried)*10*time.Millisecond)
}

// TestM1CountsWithinSections does the same to the counts inside of items.
func TestM1CountsWithinSections(t *testing.T) {
	one := func(id byte, before ...byte) func(n []byte) [13][]byte {
		return func(n []byte) [13][]byte {
			s := sections()
			s[id] = section(id, append(before, n...)...)
			return s
		}
	}
	body := func(before ...byte) func(n []byte) [13][]byte {
		return func(n []byte) [13][]byte {
			s := sections()
			s[10] = bodies(append(append(before, n...), 0x0b))
			return s
		}
	}
	for name, build := range map[string]func(n []byte) [13][]byte{
		"parameters":                one(1, 1, 0x60),
		"results":                   one(1, 1, 0x60, 0),
		"the module of an import":   one(2, 1),
		"the name of an import":     one(2, 1, 0),
		"the name of an export":     one(7, 1),
		"elements":                  one(9, 1, 0, 0x41, 0, 0x0b),
		"elements with expressions": one(9, 1, 4, 0x41, 0, 0x0b),
		"a function body":           one(10, 1),
		"the bytes of data":         one(11, 1, 0, 0x41, 0, 0x0b),
		"groups of locals":          body(),
		"locals":                    body(1),
		"branch targets":            body(0, 0x41, 0, 0x0e),
		"select types":              body(0, 0x1c),
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []uint64{1<<32 - 1, 1 << 31, 100_000_000, 1_000_000} {
				wasm := assemble(build(leb(n)))
				var err error
				require.Less(t, allocated(func() { _, err = rewrite(wasm) }), uint64(4*len(wasm)+16<<10))
				var at *wasmbin.Error
				require.ErrorAs(t, err, &at, "count %d", n)
			}
		})
	}
}

// TestM2HostileModules builds each monster with all its bytes. The host's memory
// stays in proportion to the file whether it is refused or not.
func TestM2HostileModules(t *testing.T) {
	name := func(n int) []byte { return append(leb(uint64(n)), repeat(n, 'n')...) }
	exports := func(n int) (items []byte) {
		for i := range n {
			items = append(items, 4, 'a'+byte(i>>15&31), 'a'+byte(i>>10&31), 'a'+byte(i>>5&31), 'a'+byte(i&31), 2, 0)
		}
		return items
	}
	body := func(instructions ...[]byte) []byte {
		return module(voidType, oneFunc, oneMemory, bodies(append(append([]byte{0}, slices.Concat(instructions...)...), 0x0b)))
	}
	table := section(4, append([]byte{1, 0x70, 0}, leb(200_000)...)...)
	segments := func(n, elements int) []byte {
		segment := slices.Concat([]byte{0, 0x41, 0, 0x0b}, leb(uint64(elements)), make([]byte, elements))
		return vec(9, n, bytes.Repeat(segment, n)...)
	}
	local := func(n uint64) []byte { return append(append([]byte{1}, leb(n)...), 0x7f, 0x0b) }
	for title, tc := range map[string]struct {
		wasm []byte
		want string // "" when it is accepted
	}{
		"100,000,000 locals":                {module(voidType, oneFunc, oneMemory, bodies(local(100_000_000))), "100000000 locals; spore accepts 50000"},
		"2^32 locals in two groups":         {module(voidType, oneFunc, oneMemory, bodies([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 1, 0x7f, 0x0b})), "4294967296 locals"},
		"50,000 locals in 200 functions":    {module(voidType, vec(3, 200, make([]byte, 200)...), oneMemory, bodies(slices.Repeat([][]byte{local(50_000)}, 200)...)), "in all functions together"},
		"50,000 locals":                     {module(voidType, oneFunc, oneMemory, bodies(local(50_000))), ""},
		"1,000,000 functions":               {module(voidType, vec(3, 1_000_000, make([]byte, 1_000_000)...), oneMemory, vec(10, 1_000_000, repeat(1_000_000, 2, 0, 0x0b)...)), "1000000 functions; spore accepts 200000"},
		"200,000 functions":                 {module(voidType, vec(3, 200_000, make([]byte, 200_000)...), oneMemory, vec(10, 200_000, repeat(200_000, 2, 0, 0x0b)...)), ""},
		"a function of 8 MB":                {body(repeat(8_000_000, 0x01)), "8000002 bytes; spore accepts 7654321"},
		"blocks 100,000 deep":               {body(repeat(100_000, 0x02, 0x40), repeat(100_000, 0x0b)), "nested"},
		"loops 100,000 deep, never ended":   {body(repeat(100_000, 0x03, 0x40)), "nested"},
		"br_table with 1,000,000 targets":   {body([]byte{0x41, 0, 0x0e}, leb(1_000_000), make([]byte, 1_000_001)), "1000000 branch targets; spore accepts 65520"},
		"50 br_tables with 65,520 targets":  {body(bytes.Repeat(slices.Concat([]byte{0x41, 0, 0x0e}, leb(65_520), make([]byte, 65_521)), 50)), "131040 branch targets and 0 locals"},
		"4,000 locals and 2,000 targets":    {module(voidType, oneFunc, oneMemory, bodies(slices.Concat([]byte{1}, leb(4_000), []byte{0x7f, 0x41, 0, 0x0e}, leb(2_000), make([]byte, 2_001), []byte{0x0b}))), "2000 branch targets and 4000 locals"},
		"4,000 locals and 2,000 branches":   {module(voidType, oneFunc, oneMemory, bodies(slices.Concat([]byte{1}, leb(4_000), []byte{0x7f}, bytes.Repeat([]byte{0x41, 0, 0x0d, 0}, 2_000), []byte{0x0b}))), "branch targets and 4000 locals"},
		"4,000 locals and 2,000 decisions":  {module(voidType, oneFunc, oneMemory, bodies(slices.Concat([]byte{1}, leb(4_000), []byte{0x7f}, bytes.Repeat([]byte{0x41, 0, 0x04, 0x40, 0x0b}, 2_000), []byte{0x0b}))), "branch targets and 4000 locals"},
		"4,000 locals and 1,000 fills":      {module(voidType, oneFunc, oneMemory, bodies(slices.Concat([]byte{1}, leb(4_000), []byte{0x7f}, bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0}, 1_000), []byte{0x0b}))), "branch targets and 4000 locals"},
		"3,000 fills in 120 functions":      {module(voidType, vec(3, 120, make([]byte, 120)...), oneMemory, bodies(slices.Repeat([][]byte{slices.Concat([]byte{0, 0x00}, bytes.Repeat([]byte{0xfc, 11, 0}, 3_000), []byte{0x0b})}, 120)...)), "grows to over 4 times its length"},
		"30,000 loops back in 20 functions": {module(voidType, vec(3, 20, make([]byte, 20)...), oneMemory, bodies(slices.Repeat([][]byte{slices.Concat([]byte{0, 0x03, 0x40, 0x00}, bytes.Repeat([]byte{0x0d, 0}, 30_000), []byte{0x0b, 0x0b})}, 20)...)), "grows to over 4 times its length"},
		"100,000 parameters":                {module(vec(1, 1, append(append([]byte{0x60}, leb(100_000)...), append(repeat(100_000, 0x7f), 0)...)...), oneMemory), "100000 parameters; spore accepts 1000"},
		"100,000 results":                   {module(vec(1, 1, append(append([]byte{0x60, 0}, leb(100_000)...), repeat(100_000, 0x7f)...)...), oneMemory), "100000 results; spore accepts 1000"},
		"10,000 types of 1,000 parameters":  {module(vec(1, 10_000, bytes.Repeat(slices.Concat([]byte{0x60}, leb(1000), repeat(1000, 0x7f), []byte{0}), 10_000)...), oneMemory), "in all types together"},
		"1,000,000 types":                   {module(vec(1, 1_000_000, repeat(1_000_000, 0x60, 0, 0)...), oneMemory), "1000000 types; spore accepts 20000"},
		"20,000 types":                      {module(vec(1, 20_000, repeat(20_000, 0x60, 0, 0)...), oneMemory), ""},
		"200,000 elements":                  {module(voidType, oneFunc, table, oneMemory, segments(2, 100_000), code()), ""},
		"200,002 elements":                  {module(voidType, oneFunc, table, oneMemory, segments(2, 100_001), code()), "over 200000 elements in all segments together"},
		"6,400,000 elements":                {module(voidType, oneFunc, table, oneMemory, segments(32, 200_000), code()), "over 200000 elements in all segments together"},
		"1,000,000 globals":                 {module(oneMemory, vec(6, 1_000_000, repeat(1_000_000, 0x7f, 0, 0x41, 0, 0x0b)...)), "1000000 globals; spore accepts 10000"},
		"1,000,000 exports":                 {module(oneMemory, vec(7, 1_000_000, exports(1_000_000)...)), "1000000 exports; spore accepts 1000"},
		"1,000,000 imports":                 {module(voidType, vec(2, 1_000_000, make([]byte, 4_000_000)...), oneMemory), "1000000 imports; spore accepts 1000"},
		"1,000,000 element segments":        {module(oneMemory, vec(9, 1_000_000, repeat(1_000_000, 1, 0, 0)...)), "1000000 element segments; spore accepts 100000"},
		"1,000,000 data segments":           {module(oneMemory, vec(11, 1_000_000, repeat(1_000_000, 0, 0x41, 0, 0x0b, 0)...)), "1000000 data segments; spore accepts 100000"},
		"a constant expression of 8 MB":     {module(oneMemory, vec(6, 1, append(append([]byte{0x7f, 0}, repeat(4_000_000, 0x41, 0)...), 0x0b)...)), ""},
		"data at 4 GiB":                     {module(oneMemory, section(11, 1, 0, 0x41, 0x7f, 0x0b, 2, 'h', 'i')), "a data segment that ends at 0x100000001"},
		"1 GiB of passive data that is not": {module(oneMemory, section(11, append([]byte{1, 1}, leb(1<<30)...)...)), "a passive data segment"},
		"8 MB of passive data":              {module(oneMemory, section(11, append(append([]byte{1, 1}, leb(8<<20)...), make([]byte, 8<<20)...)...)), "a passive data segment"},
		"a file of 64 MiB and a byte":       {make([]byte, 64<<20+1), "a file of 67108865 bytes; spore accepts 67108864"},
		"the same export twice":             {module(oneMemory, section(7, 2, 1, 'm', 2, 0, 1, 'm', 2, 0)), `export "m" twice`},
		"an export's name of no UTF-8":      {module(oneMemory, section(7, 1, 1, 0xff, 2, 0)), "not UTF-8"},
		"an import's name of no UTF-8":      {module(voidType, section(2, 1, 1, 0xc0, 1, 'b', 0, 0), oneMemory), "not UTF-8"},
		"an export's name of 8 MB":          {module(oneMemory, vec(7, 1, append(name(8_000_000), 2, 0)...)), "a name of 8000000 bytes"},
		"a custom section with a bad name":  {module(section(0, 0xff, 0xff), oneMemory), ""},
		"a custom section past the end":     {module(oneMemory, []byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f, 4, 'n', 'a', 'm', 'e'}), "4294967295 bytes where"},
		"100,000 empty custom sections":     {module(oneMemory, repeat(100_000, 0, 0)), ""},
	} {
		t.Run(title, func(t *testing.T) {
			var out *wasmbin.Rewritten
			var err error
			used := allocated(func() { out, err = rewrite(tc.wasm) })
			require.Less(t, used, uint64(64<<20), "memory, of a file of %d bytes", len(tc.wasm))
			if tc.want == "" {
				require.NoError(t, err)
				require.NotEmpty(t, out.Wasm)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.Less(t, len(err.Error()), 5_000, "a message to print")
		})
	}
}

// TestM3DebugInformationIsDropped gives the debug sections of a module lengths that
// lie, which nobody is to believe: nothing of them reaches the engine.
func TestM3DebugInformationIsDropped(t *testing.T) {
	custom := func(name string, content ...byte) []byte {
		return section(0, append(append([]byte{byte(len(name))}, name...), content...)...)
	}
	bomb := repeat(1000, 0xff, 0xff, 0xff, 0x7f)
	s := sections()
	plain, err := rewrite(assemble(s))
	require.NoError(t, err)
	for i := range s {
		if len(s[i]) > 0 {
			s[i] = slices.Concat(custom(".debug_info", bomb...), custom(".debug_abbrev", bomb...), s[i], custom("name", bomb...))
		}
	}
	out, err := rewrite(assemble(s))
	require.NoError(t, err)
	require.Equal(t, plain.Wasm, out.Wasm)
}

// M5: damaged files.

// requireClear requires a refusal to say where it is, in a message that names it.
func requireClear(t *testing.T, err error, size int) {
	t.Helper()
	var at *wasmbin.Error
	require.ErrorAs(t, err, &at)
	require.LessOrEqual(t, at.Offset, size)
	require.Contains(t, err.Error(), "module offset 0x")
}

func TestM5Truncations(t *testing.T) {
	for _, wasm := range [][]byte{assemble(sections()), everything()} {
		for size := range wasm {
			_, err := rewrite(wasm[:size])
			require.Error(t, err, "the first %d bytes", size)
			requireClear(t, err, size)
		}
		_, err := rewrite(wasm)
		require.NoError(t, err)
	}
}

// TestM5FlippedBits holds that a damaged module is refused, and if not, that the
// engine says the same of it before and after the rewrite.
func TestM5FlippedBits(t *testing.T) {
	o, refused := newOracle(t, api.CoreFeaturesV2), 0
	for _, wasm := range [][]byte{assemble(sections()), everything()} {
		for i := range len(wasm) * 8 {
			flipped := slices.Clone(wasm)
			flipped[i/8] ^= 1 << (i % 8)
			if _, err := rewrite(flipped); err != nil {
				requireClear(t, err, len(wasm))
				refused++
			}
			o.validate(flipped)
		}
	}
	require.Greater(t, refused, 1000)
	require.Greater(t, o.valid, 500)
	t.Logf("%d refused; %d valid, %d invalid before and after the rewrite, %d mended by it", refused, o.valid, o.invalid, o.mended)
}

// TestM5FlippedBitsOfAGoModule flips single bits anywhere in a module that Go made.
// Those that are accepted are as good as any module; at full length, a few are
// compiled.
func TestM5FlippedBitsOfAGoModule(t *testing.T) {
	wasm := testmodule.Build(t, "../../modules/hello")
	flips := 100
	if *long {
		flips = 2000
	}
	o, random, refused := newOracle(t, api.CoreFeaturesV2), rand.New(rand.NewPCG(1, 2)), 0
	for i := range flips {
		flipped := slices.Clone(wasm)
		flipped[random.IntN(len(wasm))] ^= 1 << random.IntN(8)
		if _, _, err := rewriteForOracle(flipped); err != nil {
			requireClear(t, err, len(wasm))
			refused++
		} else if *long && i%100 == 0 {
			o.validate(flipped)
		}
	}
	require.Positive(t, refused)
	require.Less(t, refused, flips)
	t.Logf("%d of %d refused; of those compiled %d valid, %d invalid", refused, flips, o.valid, o.invalid)
}

// TestGuestsDoNotReachWhatTheRewriterAdds uses the indices behind a module's last
// ones, where the fuel and spore's own functions and types are after the rewrite. A guest that could
// set its fuel would run for ever.
func TestGuestsDoNotReachWhatTheRewriterAdds(t *testing.T) {
	globals := section(6, 1, 0x7e, 1, 0x42, 0, 0x0b)
	table := section(4, 1, 0x70, 0, 1)
	for name, instructions := range map[string][]byte{
		"global.set of fuel":              {0x42, 1, 0x24, 1},
		"global.get of fuel":              {0x23, 1, 0x1a},
		"global.set in code that is dead": {0x00, 0x24, 1},
		"global.set behind the fuel":      {0x42, 1, 0x24, 2},
		"a call of a function too many":   {0x10, 1},
		"a block of the rewriter's type":  {0x02, 1, 0x42, 0, 0x0b, 0x1a},
		"call_indirect with its type":     {0x41, 0, 0x11, 1, 0, 0x1a},
		"the local for bulk instructions": {0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0, 0x20, 0, 0x1a},
		"a call of what fills in pieces":  {0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0x10, 2},
		"a call of what copies in pieces": {0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0x10, 3},
		"a block of their type":           {0x41, 0, 0x41, 0, 0x41, 0, 0x02, 3, 0xfc, 11, 0, 0x0b},
		"the largest index":               {0x23, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a},
		"a block of the largest type":     {0x02, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rewrite(module(voidType, oneFunc, table, oneMemory, globals, code(instructions...)))
			require.ErrorContains(t, err, "does not exist")
		})
	}
	for _, index := range [][]byte{{1}, {0xff, 0xff, 0xff, 0xff, 0x0f}} {
		elements := section(9, append([]byte{1, 0, 0x41, 0, 0x0b, 1}, index...)...)
		_, err := rewrite(module(voidType, oneFunc, table, oneMemory, elements, code()))
		require.ErrorContains(t, err, "does not exist", "an element")
		elements = section(9, append(append([]byte{1, 4, 0x41, 0, 0x0b, 1, 0xd2}, index...), 0x0b)...)
		_, err = rewrite(module(voidType, oneFunc, table, oneMemory, elements, code()))
		require.ErrorContains(t, err, "does not exist", "an element's expression")
		_, err = rewrite(module(voidType, oneFunc, oneMemory, section(6, append(append([]byte{1, 0x70, 0, 0xd2}, index...), 0x0b)...), code()))
		require.ErrorContains(t, err, "does not exist", "a global")
	}
	_, err := rewrite(module(voidType, oneFunc, table, oneMemory, globals,
		code(0x42, 1, 0x24, 0, 0x23, 0, 0x1a, 0x10, 0, 0x02, 0, 0x0b, 0x02, 0x40, 0x0b, 0x02, 0x7f, 0x41, 0, 0x0b, 0x1a, 0x41, 0, 0x11, 0, 0)))
	require.NoError(t, err, "its own indices")
}

// TestCodeDoesNotHideInImmediates gives a v128.const, whose value is code to an
// engine that looks only at the first byte of the instruction's number. This code
// would end the block and loop for ever, unmetered.
func TestCodeDoesNotHideInImmediates(t *testing.T) {
	hidden := append([]byte{0x0b, 0x03, 0x40, 0x0c, 0, 0x0b, 0x02, 0x40}, repeat(8, 0x01)...)
	guest := func(number ...byte) []byte {
		instructions := slices.Concat([]byte{0x02, 0x40, 0x41, 1, 0x0d, 0, 0x41, 0, 0xfd, 15, 0x41, 0, 0xfd}, number, hidden, []byte{0x1a, 0x0b})
		return module(voidType, oneFunc, oneMemory, code(instructions...))
	}
	for _, number := range [][]byte{{0x8c, 0}, {0x8c, 0x80, 0}, {0x8c, 0x80, 0x80, 0x80, 0}} {
		_, err := rewrite(guest(number...))
		require.ErrorContains(t, err, "longer form")
	}
	_, err := rewrite(guest(12))
	require.NoError(t, err, "the shortest form")
	_, err = rewrite(module(voidType, oneFunc, oneMemory, code(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x8b, 0, 0)))
	require.ErrorContains(t, err, "longer form", "memory.fill")
	_, err = rewrite(module(voidType, oneFunc, oneMemory, code(0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0xfd, 0xae, 1, 0x1a)))
	require.NoError(t, err, "i32x4.add, whose number takes two bytes")
}
