// Package wasmbin reads WebAssembly binaries and rewrites them for the sandbox.
// Parse checks everything spore has an opinion on and keeps the rest as bytes;
// Module.Rewrite returns the module the engine compiles. It knows nothing of any
// engine, runs no code, and treats every byte as hostile: what it does not know
// it refuses by name.
//
// Reference: WebAssembly Core Specification 2.0, chapter 5 (binary format).
package wasmbin

import (
	"bytes"
	"slices"
	"strings"
)

// ValueType is a WebAssembly value type as the binary format encodes it.
type ValueType byte

// The value types spore gives a meaning to.
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
	F32 ValueType = 0x7d
	F64 ValueType = 0x7c
)

// The others of WebAssembly 2.0.
const (
	v128      ValueType = 0x7b
	funcref   ValueType = 0x70
	externref ValueType = 0x6f
)

// FuncType is a function signature.
type FuncType struct{ Params, Results []ValueType }

// Equal reports whether the two signatures are the same.
func (t FuncType) Equal(u FuncType) bool {
	return slices.Equal(t.Params, u.Params) && slices.Equal(t.Results, u.Results)
}

// Import is a function the module wants from the host.
type Import struct {
	Module, Name string
	Type         FuncType
	typeIndex    uint32
}

// Segment is a piece of initial memory.
type Segment struct {
	Offset uint32
	Bytes  []byte // points into the module's bytes
}

// Module is a parsed module. It borrows the bytes given to Parse.
type Module struct {
	Imports   []Import
	Data      []Segment
	MemoryMin uint32 // 64 KiB pages
	MemoryMax uint32 // 64 KiB pages; 65536 when the module names none

	types     []FuncType
	typeBytes []byte // the items of the type section, without their count
	funcs     []uint32
	tables    []table
	globals   []global
	exports   []export
	start     uint32
	hasStart  bool
	hasMemory bool
	elems     []byte // the element section, whole
	elemsBase int
	bodies    []body
	segments  uint32 // what the data count section says
	hasCount  bool   // that there is one
}

type table struct {
	refType  byte
	min, max uint32
}

type global struct {
	typ     ValueType
	mutable bool
	init    []byte // constant expression, end included
}

type export struct {
	name  string
	kind  byte
	index uint32
}

type body struct {
	bytes []byte
	base  int
}

const (
	sectionType = iota + 1
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
)

const (
	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global",
	"export", "start", "element", "code", "data", "data count"}

// Parse reads a module. The error, an *Error, says where and why it is refused.
func Parse(wasm []byte) (*Module, error) {
	r := &reader{data: wasm}
	if len(wasm) > MaxModuleBytes {
		r.fail("a file of %d bytes; spore accepts %d", len(wasm), MaxModuleBytes)
		return nil, r.err
	}
	if err := checkMagic(wasm); err != nil {
		return nil, err
	}
	r.pos = 8
	m := &Module{}
	last := 0
	for r.more() {
		id := int(r.byte())
		switch {
		case id >= len(sectionNames):
			r.fail("section %d is not supported", id)
		case id != 0 && rank(id) <= last:
			r.fail("the %s section is repeated or out of order", sectionNames[id])
		}
		content := r.sub(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		if id == 0 { // custom sections: names and debug information, dropped unread
			continue
		}
		last = rank(id)
		m.section(id, content)
		if content.more() {
			content.fail("bytes after the end of the %s section", sectionNames[id])
		}
		if content.err != nil {
			return nil, content.err
		}
	}
	if r.err == nil {
		r.err = m.check(len(wasm))
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func checkMagic(wasm []byte) error {
	switch {
	case bytes.HasPrefix(wasm, []byte("\x1f\x8b")):
		return &Error{0, "a gzip file; unpack it first"}
	case bytes.HasPrefix(bytes.TrimSpace(wasm[:min(len(wasm), 1000)]), []byte("(module")):
		return &Error{0, "WebAssembly's text format; make a binary of it with wat2wasm"}
	case len(wasm) < 8 || string(wasm[:4]) != "\x00asm":
		return &Error{0, "not a WebAssembly binary; build it with GOOS=wasip1 GOARCH=wasm go build, or spore build"}
	case string(wasm[4:8]) == "\x0d\x00\x01\x00":
		return &Error{4, "a WebAssembly component; spore runs core modules"}
	case string(wasm[4:8]) != "\x01\x00\x00\x00":
		return &Error{4, "an unknown version of WebAssembly"}
	}
	return nil
}

// rank gives the order in which sections must come; data count stands before code.
func rank(id int) int {
	if id == sectionDataCount {
		return 2*sectionElement + 1
	}
	return 2 * id
}

func (m *Module) section(id int, r *reader) {
	switch id {
	case sectionType:
		m.readTypes(r)
	case sectionImport:
		m.readImports(r)
	case sectionFunction:
		m.funcs = make([]uint32, r.count(maxFunctions, "functions"))
		for i := range m.funcs {
			m.funcs[i] = m.readTypeIndex(r)
		}
	case sectionTable:
		m.readTables(r)
	case sectionMemory:
		m.readMemory(r)
	case sectionGlobal:
		m.readGlobals(r)
	case sectionExport:
		m.readExports(r)
	case sectionStart:
		m.readStart(r)
	case sectionElement:
		m.elems, m.elemsBase, r.pos = r.data, r.base, len(r.data)
	case sectionCode:
		m.readCode(r)
	case sectionData:
		m.readData(r)
	case sectionDataCount:
		m.segments, m.hasCount = r.u32(), true
	}
}

// check holds what can only be said of the whole module.
func (m *Module) check(size int) error {
	fail := func(text string) error { return &Error{size, text} }
	switch {
	case !m.hasMemory:
		return fail("no memory")
	case len(m.bodies) != len(m.funcs):
		return fail("the function and code sections differ in length")
	case m.hasCount && int(m.segments) != len(m.Data):
		return fail("the data and data count sections differ")
	}
	return nil
}

func (m *Module) functions() int { return len(m.Imports) + len(m.funcs) }

func (m *Module) readTypeIndex(r *reader) uint32 {
	i := r.u32()
	if int(i) >= len(m.types) {
		r.fail("type %d does not exist", i)
	}
	return i
}

func (m *Module) readTypes(r *reader) {
	m.types = make([]FuncType, r.vector(maxTypes, sizeType, "types"))
	start, all := r.pos, 0
	for i := range m.types {
		if form := r.byte(); form != 0x60 {
			r.fail("type form %#x; spore accepts function types", form)
		}
		t := FuncType{readValueTypes(r, "parameters"), readValueTypes(r, "results")}
		if all += len(t.Params) + len(t.Results); all > maxAllParams {
			r.fail("over %d parameters and results in all types together", maxAllParams)
		}
		if r.err != nil {
			return
		}
		m.types[i] = t
	}
	m.typeBytes = r.data[start:r.pos]
}

func readValueTypes(r *reader, what string) []ValueType {
	types := make([]ValueType, r.count(maxParams, what))
	for i := range types {
		types[i] = r.valueType()
	}
	return types
}

func (m *Module) readImports(r *reader) {
	for range r.vector(maxImports, sizeImport, "imports") {
		im := Import{Module: r.name(), Name: r.name()}
		if kind := r.byte(); kind != kindFunc {
			r.fail("import %q.%q is not a function; spore offers functions only", im.Module, im.Name)
			return
		}
		im.typeIndex = m.readTypeIndex(r)
		if r.err != nil {
			return
		}
		im.Type = m.types[im.typeIndex]
		m.Imports = append(m.Imports, im)
	}
}

func (m *Module) readTables(r *reader) {
	for range r.vector(1, sizeTable, "tables") {
		t := table{refType: byte(r.refType())}
		t.min, t.max = readLimits(r, minTableMax)
		if t.min > maxTableEntries {
			r.fail("a table of %d entries; spore accepts %d", t.min, maxTableEntries)
		}
		t.max = min(t.max, maxTableEntries)
		m.tables = append(m.tables, t)
	}
}

func (m *Module) readMemory(r *reader) {
	for range r.vector(1, sizeMemory, "memories") {
		m.MemoryMin, m.MemoryMax = readLimits(r, 65536)
		if max(m.MemoryMin, m.MemoryMax) > 65536 {
			r.fail("a memory of %d to %d pages", m.MemoryMin, m.MemoryMax)
		}
		m.hasMemory = true
	}
}

// readLimits reads a minimum and a maximum, which is the larger of unbounded and
// the minimum where there is none.
func readLimits(r *reader, unbounded uint32) (lo, hi uint32) {
	flags := r.byte()
	if flags > 1 {
		r.fail("shared or 64-bit limits (%#x); spore does not support them", flags)
	}
	lo = r.u32()
	if flags != 1 {
		return lo, max(lo, unbounded)
	}
	hi = r.u32()
	if lo > hi {
		r.fail("a minimum of %d and a maximum of %d", lo, hi)
	}
	return lo, hi
}

// References returns how many entries the module's table begins with, and how many
// elements its segments have, or a few more: what ends an element's index ends all other
// numbers too.
func (m *Module) References() (entries, elements int) {
	for _, t := range m.tables {
		entries += int(t.min)
	}
	for _, b := range m.elems {
		if b < 0x80 {
			elements++
		}
	}
	return entries, elements
}

// Globals returns how many globals the module has.
func (m *Module) Globals() int { return len(m.globals) }

func (m *Module) readGlobals(r *reader) {
	for range r.vector(maxGlobals, sizeGlobal, "globals") {
		typ, mutability := r.valueType(), r.byte()
		if mutability > 1 {
			r.fail("a global of mutability %d", mutability)
		}
		g := global{typ: typ, mutable: mutability == 1}
		if g.mutable && g.typ != I32 && g.typ != I64 && g.typ != F32 && g.typ != F64 {
			r.fail("a mutable global of type %#x; a snapshot can hold numbers only", byte(g.typ))
		}
		g.init = readConstExpr(r, func(in instr) { m.checkIndex(r, in, 0) })
		m.globals = append(m.globals, g)
	}
}

func (m *Module) readExports(r *reader) {
	seen := map[string]bool{}
	for range r.vector(maxExports, sizeExport, "exports") {
		e := export{name: r.name(), kind: r.byte(), index: r.u32()}
		switch {
		case seen[e.name]:
			r.fail("export %q twice", e.name)
		case strings.HasPrefix(e.name, privatePrefix):
			r.fail("export %q: names beginning with %q are spore's own", e.name, privatePrefix)
		case int64(e.index) >= m.indices(e.kind):
			r.fail("export %q of what does not exist", e.name)
		}
		seen[e.name] = true
		m.exports = append(m.exports, e)
	}
}

// indices returns how many things of a kind there are. The rewriter adds its own
// behind them, which a guest must not reach by an index that is too large.
func (m *Module) indices(kind byte) int64 {
	switch kind {
	case kindFunc:
		return int64(m.functions())
	case kindTable:
		return int64(len(m.tables))
	case kindMemory:
		if m.hasMemory {
			return 1
		}
	case kindGlobal:
		return int64(len(m.globals))
	}
	return 0
}

func (m *Module) readStart(r *reader) {
	m.start, m.hasStart = r.u32(), true
	if int64(m.start) >= m.indices(kindFunc) {
		r.fail("the start function does not exist")
		return
	}
	if !m.funcType(m.start).Equal(FuncType{}) {
		r.fail("a start function with parameters or results")
	}
}

func (m *Module) readCode(r *reader) {
	m.bodies = make([]body, r.vector(maxFunctions, sizeBody, "function bodies"))
	for i := range m.bodies {
		size := r.u32()
		if size > maxFunctionBytes {
			r.fail("a function of %d bytes; spore accepts %d", size, maxFunctionBytes)
		}
		base := r.base + r.pos
		m.bodies[i] = body{r.bytes(size), base}
		if r.err != nil {
			return
		}
	}
}

func (m *Module) readData(r *reader) {
	m.Data = make([]Segment, r.vector(maxSegments, sizeData, "data segments"))
	for i := range m.Data {
		flags := r.u32()
		if flags == 1 {
			r.fail("a passive data segment; spore snapshots active ones only (with clang: -mno-bulk-memory)")
			return
		}
		if flags > 2 || flags == 2 && r.u32() != 0 {
			r.fail("a data segment of kind %d", flags)
		}
		s := Segment{Offset: readI32Const(r)}
		s.Bytes = r.bytes(r.u32())
		if end := uint64(s.Offset) + uint64(len(s.Bytes)); end > uint64(m.MemoryMin)<<16 {
			r.fail("a data segment that ends at %#x, beyond the initial memory of %d pages", end, m.MemoryMin)
		}
		if r.err != nil {
			return
		}
		m.Data[i] = s
	}
}

// FuncExport returns the signature of the exported function called name.
func (m *Module) FuncExport(name string) (FuncType, bool) {
	for _, e := range m.exports {
		if e.name == name && e.kind == kindFunc && int(e.index) < m.functions() {
			return m.funcType(e.index), true
		}
	}
	return FuncType{}, false
}

// Exports reports whether the module exports anything under name.
func (m *Module) Exports(name string) bool {
	return slices.ContainsFunc(m.exports, func(e export) bool { return e.name == name })
}

// ExportsMemory reports whether the module exports its memory under name.
func (m *Module) ExportsMemory(name string) bool {
	for _, e := range m.exports {
		if e.name == name && e.kind == kindMemory {
			return true
		}
	}
	return false
}

func (m *Module) funcType(index uint32) FuncType {
	if int(index) < len(m.Imports) {
		return m.Imports[index].Type
	}
	return m.types[m.funcs[int(index)-len(m.Imports)]]
}
