package wasmbin

// The opcodes the rewriter acts on, writes, or looks for.
const (
	opUnreachable   = 0x00
	opNop           = 0x01
	opBlock         = 0x02
	opLoop          = 0x03
	opIf            = 0x04
	opElse          = 0x05
	opEnd           = 0x0b
	opBr            = 0x0c
	opBrIf          = 0x0d
	opBrTable       = 0x0e
	opReturn        = 0x0f
	opCall          = 0x10
	opCallIndirect  = 0x11
	opDrop          = 0x1a
	opSelect        = 0x1b
	opLocalGet      = 0x20
	opLocalSet      = 0x21
	opLocalTee      = 0x22
	opGlobalGet     = 0x23
	opGlobalSet     = 0x24
	opTableSet      = 0x26
	opMemorySize    = 0x3f
	opMemoryGrow    = 0x40
	opI32Const      = 0x41
	opI64Const      = 0x42
	opI32Eqz        = 0x45
	opI32GtU        = 0x4b
	opI32LeU        = 0x4d
	opI64LtS        = 0x53
	opI64GtU        = 0x56
	opI64GeS        = 0x59
	opI32Add        = 0x6a
	opI32Sub        = 0x6b
	opI32ShrU       = 0x76
	opI64Add        = 0x7c
	opI64Sub        = 0x7d
	opI64Shl        = 0x86
	opI64ExtendI32U = 0xad
	opRefFunc       = 0xd2
	opMisc          = 0xfc
	opSIMD          = 0xfd
	blockEmpty      = 0x40
	typeEmpty       = -64 // blockEmpty as a signed number
	miscMemInit     = 8
	miscDataDrop    = 9
	miscMemCopy     = 10
	miscMemFill     = 11
	miscTabInit     = 12
	miscElemDrop    = 13
	miscTabCopy     = 14
	miscTabGrow     = 15
	miscTabFill     = 17
	miscLast        = 17
)

// instr is one decoded instruction. Only what the rewriter needs is kept.
type instr struct {
	op      byte
	sub     uint32 // opMisc and opSIMD
	index   uint32 // of a function, type, global, local or label
	value   int64  // of opI32Const; a block's type, negative when it is not an index
	targets int    // of a branch, or of those that will stand around in
	start   int    // of the opcode, in the reader's data
	end     int    // after the immediates
}

// next decodes the instruction at r's position. An instruction spore does not
// know is refused, because its length is not known either.
func next(r *reader) instr {
	in := instr{start: r.pos}
	in.op = r.byte()
	switch op := in.op; {
	case op <= opNop || op == opElse || op == opEnd || op == opDrop || op == opSelect || op == 0xd1:
	case op >= opBlock && op <= opIf:
		in.value = blockType(r)
		in.index = uint32(max(in.value, 0)) // type 0 exists in every module that has a function
		if op == opIf {
			in.targets = 1
		}
	case op == opReturn:
		in.targets = 1
	case op == opBr || op == opBrIf:
		in.targets = 1
		in.index = r.u32()
	case op == opBrTable:
		in.targets = r.count(maxBrTable, "branch targets")
		for range in.targets + 1 {
			r.u32()
		}
	case op == opCall || op == opRefFunc:
		in.index = r.u32()
	case op == opCallIndirect: // type, table
		in.index = r.u32()
		r.u32()
	case op == 0x1c: // select with types
		for range r.count(1, "select types") {
			r.valueType()
		}
	case op >= opLocalGet && op <= opLocalTee, op == opGlobalGet, op == opGlobalSet:
		in.index = r.u32()
	case op == 0x25 || op == opTableSet: // table.get, table.set
		r.u32()
	case op >= 0x28 && op <= 0x3e: // loads and stores: alignment, offset
		r.u32()
		r.u32()
	case op == opMemorySize || op == opMemoryGrow:
		r.u32()
	case op == opI32Const:
		in.value = r.signed(32)
	case op == opI64Const:
		r.signed(64)
	case op == 0x43: // f32.const
		r.bytes(4)
	case op == 0x44: // f64.const
		r.bytes(8)
	case op >= 0x45 && op <= 0xc4: // comparisons, arithmetic, conversions
	case op == 0xd0: // ref.null
		r.refType()
	case op == opMisc:
		in.sub = subOpcode(r)
		miscImmediates(r, in.sub)
		if in.isBulk() {
			in.targets = bulkTargets
		}
	case op == opSIMD:
		in.sub = subOpcode(r)
		simdImmediates(r, in.sub)
	default:
		r.fail("instruction %#x is not supported%s", op, proposal(op))
	}
	in.end = r.pos
	return in
}

// subOpcode reads the number behind a prefix, in its shortest form only. An engine
// may look at its first byte alone, as wazero does behind 0xfd, and what is an
// immediate in the longer form would then be code that has not been looked at.
func subOpcode(r *reader) uint32 {
	start := r.pos
	sub := r.u32()
	if n := r.pos - start; n > 1 && sub>>(7*(n-1)) == 0 {
		r.fail("an instruction in a longer form than it needs")
	}
	return sub
}

// proposal says what an instruction spore does not know is for.
func proposal(op byte) string {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return " (exceptions)"
	case 0x12, 0x13, 0x15:
		return " (tail calls)"
	case 0xfe:
		return " (threads)"
	}
	return ""
}

// blockType reads a block's type: an index, or a negative number.
func blockType(r *reader) int64 {
	if r.pos < len(r.data) && r.data[r.pos] == blockEmpty {
		r.pos++
		return typeEmpty
	}
	start := r.pos
	t := r.signed(33)
	if t < 0 {
		r.pos = start
		r.valueType()
	}
	return t
}

// checkIndex refuses an index beyond what the module has, or a function with that
// many locals. The rewriter adds its own there, and whoever reached the fuel could
// fill it up.
func (m *Module) checkIndex(r *reader, in instr, locals int) {
	n := int64(1) << 32
	switch in.op {
	case opLocalGet, opLocalSet, opLocalTee:
		n = int64(locals)
	case opBlock, opLoop, opIf, opCallIndirect:
		n = int64(len(m.types))
	case opCall, opRefFunc:
		n = m.indices(kindFunc)
	case opGlobalGet, opGlobalSet:
		n = m.indices(kindGlobal)
	}
	if r.err == nil && int64(in.index) >= n {
		r.pos = in.start
		r.fail("index %d does not exist", in.index)
	}
}

func miscImmediates(r *reader, sub uint32) {
	switch {
	case sub < miscMemInit: // saturating conversions
	case sub == miscMemCopy:
		memoryIndex(r)
		memoryIndex(r)
	case sub == miscMemFill:
		memoryIndex(r)
	case sub == miscMemInit || sub == miscTabInit || sub == miscTabCopy:
		r.u32()
		r.u32()
	case sub <= miscLast:
		r.u32()
	default:
		r.fail("instruction 0xfc %d is not supported", sub)
	}
}

// memoryIndex reads the memory of a bulk instruction, which the rewriter does not
// hand on to the engine. WebAssembly 2.0 has a byte there.
func memoryIndex(r *reader) {
	if i := r.byte(); i != 0 {
		r.fail("memory %d does not exist", i)
	}
}

func simdImmediates(r *reader, sub uint32) {
	switch {
	case sub <= 11 || sub == 92 || sub == 93: // loads and stores
		r.u32()
		r.u32()
	case sub == 12 || sub == 13: // v128.const, i8x16.shuffle
		r.bytes(16)
	case sub >= 21 && sub <= 34: // lane access
		r.byte()
	case sub >= 84 && sub <= 91: // lane loads and stores
		r.u32()
		r.u32()
		r.byte()
	case sub > 255:
		r.fail("instruction 0xfd %d is not supported", sub)
	}
}

// changesTables reports whether in leaves a mark in a table or an element
// segment, which a snapshot does not hold.
func (in instr) changesTables() bool {
	if in.op == opTableSet {
		return true
	}
	return in.op == opMisc && (in.sub == miscTabInit || in.sub == miscElemDrop ||
		in.sub == miscTabCopy || in.sub == miscTabGrow || in.sub == miscTabFill)
}

// isLoad reports whether in reads a number from memory.
func (in instr) isLoad() bool { return in.op >= 0x28 && in.op <= 0x35 }

// isBulk reports whether in works on as many bytes as its last operand says.
func (in instr) isBulk() bool {
	return in.op == opMisc && (in.sub == miscMemCopy || in.sub == miscMemFill)
}

// isJoin reports whether ways through the code part or meet at in.
func (in instr) isJoin() bool {
	switch in.op {
	case opLoop, opIf, opElse, opEnd, opBr, opBrIf, opBrTable:
		return true
	}
	return false
}

// branchTable calls visit with every label of a br_table, the default's last.
func (in instr) branchTable(src []byte, visit func(depth uint32)) {
	r := &reader{data: src[:in.end], pos: in.start + 1}
	for range r.u32() + 1 {
		visit(r.u32())
	}
}

// walk decodes the body of a function with so many locals, after these, and hands
// each instruction to visit. It returns when the body's own end is reached.
func walk(r *reader, locals int, visit func(in instr)) {
	targets := 0
	for depth := 1; depth > 0 && r.err == nil; {
		in := next(r)
		switch in.op {
		case opBlock, opLoop, opIf:
			depth++
		case opEnd:
			depth--
		}
		if depth > maxNesting {
			r.fail("blocks nested %d deep; spore accepts %d", depth, maxNesting)
		}
		if targets += in.targets; targets > maxBranches || targets*locals > maxLocalBranches {
			r.fail("a function with at least %d branch targets and %d locals; spore accepts %d, and %d for their product",
				targets, locals, maxBranches, maxLocalBranches)
		}
		visit(in)
	}
	if r.more() {
		r.fail("bytes after the end of a function")
	}
}

// readConstExpr reads a constant expression and returns its bytes, end
// included. visit sees each instruction.
func readConstExpr(r *reader, visit func(in instr)) []byte {
	start := r.pos
	for r.err == nil {
		in := next(r)
		switch in.op {
		case opI32Const, opI64Const, 0x43, 0x44, opGlobalGet, 0xd0, opRefFunc, opEnd:
		case opSIMD:
			if in.sub != 12 {
				r.fail("instruction 0xfd %d in a constant expression", in.sub)
			}
		default:
			r.fail("instruction %#x in a constant expression", in.op)
		}
		visit(in)
		if in.op == opEnd {
			break
		}
	}
	if r.err != nil {
		return nil
	}
	return r.data[start:r.pos]
}

// readI32Const reads the offset of a data segment.
func readI32Const(r *reader) uint32 {
	if op := r.byte(); op != opI32Const {
		r.fail("a data segment whose offset is not a constant")
		return 0
	}
	v := uint32(r.signed(32))
	if r.byte() != opEnd {
		r.fail("a data segment whose offset is not a constant")
	}
	return v
}
