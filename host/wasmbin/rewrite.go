package wasmbin

import (
	"cmp"
	"slices"
	"strconv"
)

// privatePrefix begins the names the rewriter adds.
const privatePrefix = "spore:"

// Names in a rewritten module.
const (
	YieldModule = "spore:host" // import module of Yield
	// Yield, (i32) -> i64, is called when the fuel is below zero, and returns new fuel. The
	// parameter is 1 at the entry of a function that can yield when it comes back, which is
	// wanted when the result is less than zero; then that, without its sign, is the fuel.
	Yield       = "yield"
	StartExport = "spore:start" // the module's start function, when it has one
	// GlobalExport and a number from zero name the mutable globals, fuel included.
	GlobalExport = privatePrefix + "g"
)

// Options of a rewrite.
type Options struct {
	MemoryPages uint32 // the memory limit, in 64 KiB pages; a module that begins above it is refused
	Fuel        int64  // units until the first call of Yield

	piece uint32 // bytes a bulk instruction works on between two yields; 0: bulkPiece
}

// Rewritten is a module made ready for the sandbox.
type Rewritten struct {
	Wasm     []byte
	Skeleton []byte // Wasm with the code of every function replaced by a trap: all an engine needs to find Wasm's compiled code
}

// Rewrite returns the module with
//   - data segments and start section taken out: whoever instantiates it writes
//     Module.Data into memory and calls StartExport;
//   - every mutable global exported, so that it can be saved and set;
//   - a bound on the table;
//   - fuel: a global that counts down, about one for each instruction, and calls
//     Yield below zero, because native code cannot be interrupted from outside.
//     fuel.go says what is charged where;
//   - custom sections dropped.
//
// Yield is a further imported function, so the index of every function the
// module defines goes up by one. Behind them stand functions of spore's own.
func (m *Module) Rewrite(opt Options) (*Rewritten, error) {
	if err := m.CheckMemory(opt.MemoryPages); err != nil {
		return nil, err
	}
	opt.piece = cmp.Or(opt.piece, bulkPiece)
	w := &rewriter{m: m, opt: opt, out: &Rewritten{}, blockOf: map[uint32]uint32{}}
	w.profile()
	w.own = w.ownFunctions()
	code := w.code()
	head := w.head()
	if w.err != nil {
		return nil, w.err
	}
	w.out.Wasm = appendSection(slices.Clone(head), sectionCode, code)
	w.out.Skeleton = appendSection(head, sectionCode, skeleton(len(m.bodies)+len(w.own)))
	return w.out, nil
}

// CheckMemory refuses a module that begins with more memory than it may have, in
// pages of 64 KiB.
func (m *Module) CheckMemory(pages uint32) error {
	if m.MemoryMin <= pages {
		return nil
	}
	return &Error{0, "the module needs " + strconv.Itoa(int(m.MemoryMin)*64) + " KiB of memory and may have " +
		strconv.Itoa(int(pages)*64) + " KiB; raise memory in functions.toml"}
}

type rewriter struct {
	m   *Module
	opt Options
	out *Rewritten
	err error

	saved    []uint32    // indices of the mutable globals, fuel included
	profiles []profile   // of the functions, by body
	setBy    []int       // by local: the last function, from 1, that was seen to set it
	hasBulk  bool        // there is a bulk instruction
	locals   []ValueType // of the function that is scanned
	filled   int         // elements of all segments so far

	blocks  []uint32          // types whose results are those of a block, which has a type behind spore's own
	blockOf map[uint32]uint32 // by type: its place among them

	own []ownFunction
}

// ownFunction is one that the rewriter adds behind the module's.
type ownFunction struct {
	typ  uint32
	body []byte // with its locals
}

// The places of spore's own functions behind the module's. The last two are there
// when something calls them.
const (
	ownRefill = iota
	ownFill
	ownCopy
)

func (w *rewriter) ownFunctions() []ownFunction {
	list := []ownFunction{ownRefill: {w.ownType(typeRefill), w.refill()}}
	if w.hasBulk {
		typ := w.ownType(typeBulk)
		list = append(list, ownFunction{typ, w.fillInPieces()}, ownFunction{typ, w.copyInPieces()})
	}
	return list
}

// The places of spore's own types behind the module's.
const (
	typeYield = iota
	typeRefill
	typeBulk
	ownTypes // how many there are
)

// ownType returns the index of a type of spore's own in the rewritten module.
func (w *rewriter) ownType(place int) uint32 { return uint32(len(w.m.types) + place) }

// ownIndex returns the index of a function of spore's own in the rewritten module.
func (w *rewriter) ownIndex(place int) uint32 { return uint32(w.m.functions() + 1 + place) }

// head returns all that stands before the code.
func (w *rewriter) head() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = appendSection(b, sectionType, w.types())
	b = appendSection(b, sectionImport, w.imports())
	b = appendSection(b, sectionFunction, w.functions())
	if len(w.m.tables) > 0 {
		b = appendSection(b, sectionTable, w.tables())
	}
	b = appendSection(b, sectionMemory, w.memory())
	b = appendSection(b, sectionGlobal, w.globals())
	b = appendSection(b, sectionExport, w.exports())
	if w.m.elems != nil {
		b = appendSection(b, sectionElement, w.elements())
	}
	return b
}

// skeleton is a code section of n functions that only trap.
func skeleton(n int) []byte {
	b := appendU32(nil, uint32(n))
	for range n {
		b = append(b, 3, 0, opUnreachable, opEnd) // size, locals, code
	}
	return b
}

func (w *rewriter) types() []byte {
	b := appendU32(nil, uint32(len(w.m.types)+ownTypes+len(w.blocks)))
	b = append(b, w.m.typeBytes...)
	b = append(b, 0x60, 1, byte(I32), 1, byte(I64))            // typeYield
	b = append(b, 0x60, 1, byte(I32), 1, byte(I32))            // typeRefill
	b = append(b, 0x60, 3, byte(I32), byte(I32), byte(I32), 0) // typeBulk
	for _, t := range w.blocks {
		results := w.m.types[t].Results
		b = appendU32(append(b, 0x60, 0), uint32(len(results)))
		for _, r := range results {
			b = append(b, byte(r))
		}
	}
	return b
}

func (w *rewriter) imports() []byte {
	b := appendU32(nil, uint32(len(w.m.Imports)+1))
	for _, im := range w.m.Imports {
		b = appendName(appendName(b, im.Module), im.Name)
		b = appendU32(append(b, kindFunc), im.typeIndex)
	}
	b = appendName(appendName(b, YieldModule), Yield)
	return appendU32(append(b, kindFunc), w.ownType(typeYield))
}

// shift maps a function index of the module to one of the rewritten module.
func (w *rewriter) shift(index uint32) uint32 {
	if int(index) < len(w.m.Imports) {
		return index
	}
	return index + 1
}

func (w *rewriter) functions() []byte {
	b := appendU32(nil, uint32(len(w.m.funcs)+len(w.own)))
	for _, t := range w.m.funcs {
		b = appendU32(b, t)
	}
	for _, f := range w.own {
		b = appendU32(b, f.typ)
	}
	return b
}

func (w *rewriter) tables() []byte {
	b := appendU32(nil, uint32(len(w.m.tables)))
	for _, t := range w.m.tables {
		b = appendU32(append(b, t.refType, 1), t.min)
		b = appendU32(b, t.max)
	}
	return b
}

func (w *rewriter) memory() []byte {
	b := appendU32([]byte{1, 1}, w.m.MemoryMin)
	return appendU32(b, w.m.MemoryMax) // the allocator holds the limit and notes who ran into it
}

func (w *rewriter) globals() []byte {
	b := appendU32(nil, uint32(len(w.m.globals)+1))
	for i, g := range w.m.globals {
		mutable := byte(0)
		if g.mutable {
			mutable = 1
			w.saved = append(w.saved, uint32(i))
		}
		b = w.constExpr(append(b, byte(g.typ), mutable), g.init)
	}
	w.saved = append(w.saved, w.fuel())
	b = appendS64(append(b, byte(I64), 1, opI64Const), w.opt.Fuel)
	return append(b, opEnd)
}

// constExpr appends a constant expression that Parse has accepted.
func (w *rewriter) constExpr(b, expr []byte) []byte {
	r := &reader{data: expr}
	readConstExpr(r, func(in instr) { b = w.instr(b, expr, in) })
	w.keep(r.err)
	return b
}

func (w *rewriter) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *rewriter) exports() []byte {
	added := len(w.saved)
	if w.m.hasStart {
		added++
	}
	b := appendU32(nil, uint32(len(w.m.exports)+added))
	for _, e := range w.m.exports {
		if e.kind == kindFunc {
			e.index = w.shift(e.index)
		}
		b = appendU32(append(appendName(b, e.name), e.kind), e.index)
	}
	if w.m.hasStart {
		b = appendU32(append(appendName(b, StartExport), kindFunc), w.shift(w.m.start))
	}
	for i, index := range w.saved {
		b = appendU32(append(appendName(b, GlobalExport+strconv.Itoa(i)), kindGlobal), index)
	}
	return b
}

// elements copies the element section with function indices shifted. The eight
// forms of a segment are told apart by three bits: passive or declarative,
// explicit table (or declarative), expressions instead of indices.
func (w *rewriter) elements() []byte {
	r := &reader{data: w.m.elems, base: w.m.elemsBase}
	n := r.vector(maxSegments, sizeElement, "element segments")
	b := appendU32(nil, uint32(n))
	for range n {
		b = w.elementSegment(b, r)
		if r.err != nil {
			break
		}
	}
	if r.more() {
		r.fail("bytes after the end of the element section")
	}
	w.keep(r.err)
	return b
}

func (w *rewriter) elementSegment(b []byte, r *reader) []byte {
	flags := r.u32()
	if flags > 7 {
		r.fail("an element segment of kind %d", flags)
		return b
	}
	active, explicit, exprs := flags&1 == 0, flags&2 != 0, flags&4 != 0
	b = appendU32(b, flags)
	if active && explicit {
		b = appendU32(b, r.u32())
	}
	if active {
		readConstExpr(r, func(in instr) { b = w.instr(b, r.data, in) })
	}
	if !active || explicit {
		b = append(b, r.byte()) // element kind or reference type
	}
	n := r.count(maxElements, "elements")
	if w.filled += n; w.filled > maxElements {
		r.fail("over %d elements in all segments together", maxElements)
	}
	b = appendU32(b, uint32(n))
	for range n {
		if r.err != nil {
			return b
		}
		if exprs {
			readConstExpr(r, func(in instr) {
				w.m.checkIndex(r, in, 0)
				b = w.instr(b, r.data, in)
			})
		} else {
			in := instr{op: opRefFunc, start: r.pos, index: r.u32()}
			w.m.checkIndex(r, in, 0)
			b = appendU32(b, w.shift(in.index))
		}
	}
	return b
}

func (w *rewriter) code() []byte {
	b := appendU32(nil, uint32(len(w.m.bodies)+len(w.own)))
	most := growthSlack
	for _, body := range w.m.bodies {
		most += maxGrowth * len(body.bytes)
	}
	var scratch []byte
	for i, body := range w.m.bodies {
		if w.err != nil {
			return nil
		}
		scratch = w.function(scratch[:0], i, body)
		b = append(appendU32(b, uint32(len(scratch))), scratch...)
		if len(b) > most {
			w.keep(&Error{body.base, "the code grows to over " + strconv.Itoa(maxGrowth) + " times its length by the instructions that charge and divide its own; it has too many branches back, bulk instructions, or short functions of many parameters"})
		}
	}
	for _, f := range w.own {
		b = append(appendU32(b, uint32(len(f.body))), f.body...)
	}
	return b
}

// function appends one body: locals, then the instructions with indices shifted
// and fuel charged.
func (w *rewriter) function(b []byte, index int, body body) []byte {
	p := &w.profiles[index]
	r := &reader{data: body.bytes, base: body.base}
	groups := r.vector(maxLocals, sizeLocals, "groups of locals")
	start := r.pos
	locals := len(w.m.types[w.m.funcs[index]].Params) + skipLocals(r, groups)
	if p.bulk { // one more local, an i32, holds the length of a bulk instruction
		b = append(appendU32(b, uint32(groups+1)), r.data[start:r.pos]...)
		b = append(b, 1, byte(I32))
	} else {
		b = append(b, r.data[:r.pos]...)
	}
	if p.heavy {
		b = w.chargeEntry(b, index, p)
	}
	if !p.paysAtEnd() {
		b, _ = w.instructions(b, r, p, uint32(locals))
		return b
	}
	b = w.blockOfResults(append(b, opBlock), w.m.funcs[index])
	b, length := w.instructions(b, r, p, uint32(locals))
	return append(w.charge(b, length), opEnd)
}

// blockOfResults appends the type of a block that leaves what functions of a type
// return.
func (w *rewriter) blockOfResults(b []byte, typ uint32) []byte {
	results := w.m.types[typ].Results
	switch len(results) {
	case 0:
		return append(b, blockEmpty)
	case 1:
		return append(b, byte(results[0]))
	}
	place, ok := w.blockOf[typ] // a type of its own, without the parameters
	if !ok {
		place = uint32(len(w.blocks))
		w.blockOf[typ] = place
		w.blocks = append(w.blocks, typ)
	}
	return appendS64(b, int64(w.ownType(ownTypes))+int64(place))
}

// skipLocals reads the groups of a body's locals and returns how many there are.
func skipLocals(r *reader, groups int) int {
	var locals uint64
	for range groups {
		locals += uint64(r.u32())
		r.valueType()
	}
	if locals > maxLocals {
		r.fail("%d locals; spore accepts %d", locals, maxLocals)
		return 0
	}
	return int(locals)
}

// instructions appends the instructions at r, and returns what they weigh. Most are
// copied as they are.
func (w *rewriter) instructions(b []byte, r *reader, p *profile, scratch uint32) (_ []byte, length int64) {
	f := &flow{r: r, labels: []label{{}}}
	copied := r.pos
	walk(r, 0, func(in instr) { // bounded when it was scanned
		back := f.step(in, w.weight(in, p))
		leaves := in.op == opReturn && p.paysAtEnd()
		if back == 0 && in.op != opCall && !in.isBulk() && !leaves {
			return
		}
		b = append(b, r.data[copied:in.start]...)
		copied = in.end
		switch {
		case back > 0 && in.op == opBrIf && !w.takesOperands(f.target(in.index)):
			b = w.chargedBrIf(b, in, back)
			return
		case back > 0:
			b = w.charge(b, back)
		case in.isBulk():
			b = w.bulk(b, in, scratch)
			return
		case leaves:
			b = appendU32(append(b, opBr), uint32(len(f.labels)-1))
			return
		}
		b = w.instr(b, r.data, in)
	})
	w.keep(r.err)
	return append(b, r.data[copied:]...), f.position
}

// takesOperands reports whether a branch to l, a loop, takes operands along.
func (w *rewriter) takesOperands(l *label) bool {
	return l.blockType >= 0 && len(w.m.types[l.blockType].Params) > 0
}

// instr appends one instruction, with its function index shifted.
func (w *rewriter) instr(b, src []byte, in instr) []byte {
	if in.op == opCall || in.op == opRefFunc {
		return appendU32(append(b, in.op), w.shift(in.index))
	}
	return append(b, src[in.start:in.end]...)
}
