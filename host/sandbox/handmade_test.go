package sandbox_test

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"spore/abi"
)

// handmade builds small modules from calls of host functions, for what no Go
// guest would do. A module checks every result itself and traps on a wrong one.
type handmade struct {
	init     []step // before get_next_request; the call that freezes is added
	serve    []step
	warm     []step // export spore_warm, which does this; nil for no export
	random   []step // export spore_random, which does this and returns the i64 it leaves; nil for no export
	start    []step // start section: a function that does this; nil for none
	data     map[uint32][]byte
	globals  [][]byte          // items of the global section
	imports  [][]byte          // further items of the import section, none of them functions
	table    [][]byte          // items of the table section
	elements [][]byte          // items of the element section
	min      byte              // pages of memory to begin with; one when zero
	locals   int               // i32s of spore_serve
	copies   int               // further functions like spore_serve
	noInit   bool              // main returns without asking for a request
	names    map[string]string // import names to use instead
	types    map[string]string // parameters of imports to use instead
	exports  map[string]string // exports to add or change ("memory", "start", "serve", "random", "warm", "global"), or take away ("")
}

// step is one call, or instructions: its arguments, and the result it must have.
type step struct {
	fn   string
	code []byte // instead of fn
	args []int32
	want int32
}

// Values of want that are not a result to compare with.
const (
	anyResult = -1 << 31 // drop it
	noResult  = anyResult + 1
)

func call(fn string, want int32, args ...int32) step { return step{fn: fn, args: args, want: want} }
func raw(code ...byte) step                          { return step{code: code, want: noResult} }
func grow(pages, want int32) step {
	return step{code: []byte{0x40, 0}, args: []int32{pages}, want: want}
}
func pages(want int32) step    { return step{code: []byte{0x3f, 0}, want: want} }
func load(at, want int32) step { return step{code: []byte{0x28, 2, 0}, args: []int32{at}, want: want} }
func store(at, v int32) step {
	return step{code: []byte{0x36, 2, 0}, args: []int32{at, v}, want: noResult}
}

// draw is the end of a spore_random: the number it returns.
func draw(v int32) step { return raw(cat([]byte{0x42}, sleb(v))...) }

// fill overwrites size bytes of memory.
func fill(at, v, size int32) step {
	return step{code: []byte{0xfc, 0x0b, 0}, args: []int32{at, v, size}, want: noResult}
}

// hostFunc is a function to import: its parameters are 'i' for i32 and 'I' for
// i64, and its result is an i32.
type hostFunc struct{ name, params string }

// imports of every handmade module, in index order. What its steps call of WASI
// comes behind.
var imports = []hostFunc{
	{abi.ImportGetNextRequest, "ii"}, {abi.ImportBodyRead, "iii"}, {abi.ImportSendResponse, "ii"}, {abi.ImportSendError, "ii"},
	{abi.ImportHTTPStart, "ii"}, {abi.ImportSecretGet, "iiii"}, {abi.ImportLog, "ii"},
	{abi.ImportKVStart, "ii"},
}

func (m handmade) functions() []hostFunc {
	list := slices.Clone(imports)
	for _, s := range slices.Concat(m.start, m.init, m.serve, m.warm, m.random) {
		f := hostFunc{s.fn, wasi[s.fn]}
		if _, ok := wasi[s.fn]; ok && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

const (
	eventAt    = 0x8000 // where get_next_request may write
	eventSize  = 0x4000
	resultAt   = 0x100
	errorAt    = 0x200
	logAt      = 0x300
	httpAt     = 0x400
	nameAt     = 0x500
	kvAt       = 0x580
	memorySize = 0x10000
)

var (
	resultFrame = abi.AppendResult(nil, &abi.Result{Status: 201, Body: []byte("made by hand")})
	errorFrame  = abi.AppendError(nil, &abi.Error{Type: "Oops", Message: "by hand"})
	logFrame    = abi.AppendLogRecord(nil, &abi.LogRecord{Message: "hello"})
	kvFrame     = abi.AppendKVRequest(nil, &abi.KVRequest{Op: abi.KVGet, Key: "k"})
	httpFrame   = abi.AppendHTTPRequest(nil, &abi.HTTPRequest{URL: "https://example.test/"})
)

func take(want int32) step     { return call(abi.ImportGetNextRequest, want, eventAt, eventSize) }
func respond() step            { return call(abi.ImportSendResponse, 0, resultAt, int32(len(resultFrame))) }
func failWith() step           { return call(abi.ImportSendError, 0, errorAt, int32(len(errorFrame))) }
func (s step) as(w int32) step { s.want = w; return s }

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func sleb(v int32) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func vec(items ...[]byte) []byte {
	b := leb(len(items))
	for _, it := range items {
		b = append(b, it...)
	}
	return b
}

func sized(b []byte) []byte { return append(leb(len(b)), b...) }

func section(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

// optional is a section that is left out when it has no items.
func optional(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return section(id, vec(items...))
}

func str(s string) []byte { return sized([]byte(s)) }

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func (m handmade) code(steps []step) []byte {
	functions := m.functions()
	var b []byte
	for _, s := range steps {
		op, params := s.code, ""
		if i := slices.IndexFunc(functions, func(f hostFunc) bool { return f.name == s.fn }); i >= 0 {
			op, params = append([]byte{0x10}, leb(i)...), functions[i].params
		}
		for i, a := range s.args {
			constant := byte(0x41)
			if params != "" && params[i] == 'I' {
				constant = 0x42
			}
			b = append(append(b, constant), sleb(a)...)
		}
		b = append(b, op...)
		switch s.want {
		case noResult:
		case anyResult:
			b = append(b, 0x1a) // drop
		default:
			b = append(append(b, 0x41), sleb(s.want)...)
			b = append(b, 0x47, 0x04, 0x40, 0x00, 0x0b) // i32.ne; if; unreachable; end
		}
	}
	return b
}

// importSection returns the types of the imported functions, type i for function
// i, and the section's items.
func (m handmade) importSection() (types, items [][]byte) {
	for i, f := range m.functions() {
		module, name, params := abi.Module, f.name, f.params
		if _, ok := wasi[f.name]; ok {
			module = wasiModule
		}
		if other, ok := m.names[f.name]; ok {
			name = other
		}
		if other, ok := m.types[f.name]; ok {
			params = other
		}
		results := []byte{1, 0x7f}
		if name == procExit {
			results = []byte{0}
		}
		encoded := []byte(strings.NewReplacer("i", "\x7f", "I", "\x7e").Replace(params))
		types = append(types, cat([]byte{0x60}, sized(encoded), results))
		items = append(items, cat(str(module), str(name), []byte{0}, leb(i)))
	}
	return types, append(items, m.imports...)
}

func (m handmade) exportSection(first int) (items [][]byte) {
	exports := map[string]string{abi.ExportMemory: "memory", abi.ExportStart: "start", abi.ExportServe: "serve"}
	if m.random != nil {
		exports[abi.ExportRandom] = "random"
	}
	if m.warm != nil {
		exports[abi.ExportWarm] = "warm"
	}
	maps.Copy(exports, m.exports)
	things := map[string][]byte{"memory": {2, 0}, "global": {3, 0}}
	for i, name := range []string{"start", "serve", "random", "warm"} {
		things[name] = append([]byte{0}, leb(first+i)...)
	}
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		if thing, ok := things[exports[name]]; ok {
			items = append(items, cat(str(name), thing))
		}
	}
	return items
}

func (m handmade) dataSection() (items [][]byte) {
	data := map[uint32][]byte{resultAt: resultFrame, errorAt: errorFrame, logAt: logFrame, httpAt: httpFrame, kvAt: kvFrame, nameAt: []byte("TOKEN")}
	maps.Copy(data, m.data)
	for _, at := range slices.Sorted(maps.Keys(data)) {
		items = append(items, cat([]byte{0, 0x41}, sleb(int32(at)), []byte{0x0b}, sized(data[at])))
	}
	return items
}

func (m handmade) bytes() []byte {
	types, ims := m.importSection()
	first := len(m.functions())
	types = append(types, []byte{0x60, 0, 0}, []byte{0x60, 0, 1, 0x7e}) // first: nothing; first+1: () -> i64
	main := m.code(m.init)
	if !m.noInit {
		main = append(main, m.code([]step{call(abi.ImportGetNextRequest, anyResult, 0, 0)})...)
	}
	body := func(code []byte) []byte { return sized(cat([]byte{0}, code, []byte{0x0b})) }
	serve := sized(cat([]byte{1}, leb(m.locals), []byte{0x7f}, m.code(m.serve), []byte{0x0b}))
	random := m.code(m.random)
	if m.random == nil {
		random = m.code([]step{draw(0)})
	}
	var startSection []byte
	if m.start != nil {
		startSection = section(8, leb(first+4))
	}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec(types...)),
		section(2, vec(ims...)),
		section(3, vec(append([][]byte{leb(first), leb(first), leb(first + 1), leb(first), leb(first)}, slices.Repeat([][]byte{leb(first)}, m.copies)...)...)),
		optional(4, m.table),
		section(5, []byte{1, 0, max(1, m.min)}),
		section(6, vec(m.globals...)),
		section(7, vec(m.exportSection(first)...)),
		startSection,
		optional(9, m.elements),
		section(10, vec(append([][]byte{body(main), serve, body(random), body(m.code(m.warm)), body(m.code(m.start))}, slices.Repeat([][]byte{serve}, m.copies)...)...)),
		section(11, vec(m.dataSection()...)))
}

// oneMemory is a memory section: one memory of at least a page.
var oneMemory = []byte{1, 0, 1}
