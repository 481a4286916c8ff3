package wasmbin

const (
	// frameWeight is what an entry counts on top of the instructions: the
	// engine's own work, and the least a call takes from the stack.
	frameWeight = 8
	// movesShift makes one unit of eight locals moved from one piece of code to
	// the next.
	movesShift = 3
)

// profile is what there is to know of one function.
type profile struct {
	calls []uint32 // the functions it calls directly, by body, once for each call
	bulk  bool
	moves int64 // weight of the locals that are moved at a join

	weight int64 // of its code; with that of its light callees once weigh has run
	heavy  bool  // charged at its entry, so that callers do not pay for it
}

// profile looks all functions over and decides which are charged at their entry.
func (w *rewriter) profile() {
	profiles := make([]profile, len(w.m.bodies))
	all := 0
	for i, body := range w.m.bodies {
		r := &reader{data: body.bytes, base: body.base}
		locals := skipLocals(r, r.vector(maxLocals, sizeLocals, "groups of locals"))
		if all += locals; all > maxAllLocals {
			r.fail("over %d locals in all functions together", maxAllLocals)
		}
		params := len(w.m.types[w.m.funcs[i]].Params)
		s := scan{w: w, r: r, locals: params + locals, function: i + 1}
		walk(r, s.locals, s.visit)
		if r.err != nil {
			w.keep(r.err)
			return
		}
		profiles[i] = s.finish()
	}
	weigh(profiles)
	w.profiles = profiles
}

// scan looks one function over. It refuses what a snapshot cannot hold, and what
// does not exist in the module.
type scan struct {
	w        *rewriter
	r        *reader
	locals   int // parameters included
	function int // from 1

	profile
	joins int64
	set   int64 // locals that are set
}

func (s *scan) visit(in instr) {
	s.w.m.checkIndex(s.r, in, s.locals)
	if s.r.err != nil {
		return
	}
	s.weight += s.w.weight(in, &s.profile)
	switch {
	case in.changesTables(), in.op == opMisc && (in.sub == miscMemInit || in.sub == miscDataDrop):
		s.r.pos = in.start
		s.r.fail("an instruction that changes tables or uses data segments; a snapshot cannot hold its effect")
	case in.op == opCall && int(in.index) >= len(s.w.m.Imports):
		s.calls = append(s.calls, in.index-uint32(len(s.w.m.Imports)))
	case in.isBulk():
		s.bulk, s.w.hasBulk = true, true
	case in.isJoin():
		s.joins++
	case in.op == opLocalSet || in.op == opLocalTee:
		s.assigned(in.index)
	}
}

func (s *scan) assigned(local uint32) {
	w := s.w
	if missing := int(local) + 1 - len(w.setBy); missing > 0 {
		w.setBy = append(w.setBy, make([]int, missing)...)
	}
	if w.setBy[local] != s.function {
		w.setBy[local] = s.function
		s.set++
	}
}

// finish adds what the engine makes of locals. At a join it has a value of its
// own for every local that the ways there have set. It moves them there, and
// may keep each in a place in the frame that nothing else uses: so the weight
// also bounds the bytes a call takes from the stack, at about five a unit. With
// that, the fuel between two yields bounds how far a recursion gets before the
// host looks at the stack.
func (s *scan) finish() profile {
	s.moves = s.set >> movesShift
	s.weight = frameWeight + max(s.weight+s.joins*s.moves, s.joins*s.set)
	return s.profile
}

// weight returns what an instruction of p counts, including what it may execute
// elsewhere without a charge.
func (w *rewriter) weight(in instr, p *profile) int64 {
	n := int64(1)
	switch in.op {
	case opBlock, opLoop, opElse, opEnd:
		n = 0
	case opCall:
		n += operands(w.m.funcType(in.index)) + w.lightWeight(in.index)
	case opCallIndirect:
		n += operands(w.m.types[in.index]) + lightMax
	case opSIMD: // its values are twice as long
		n = 2
	}
	if in.isBulk() {
		n += bulkWeight
	}
	if in.isJoin() {
		n += p.moves
	}
	if (in.op == opBlock || in.op == opLoop || in.op == opIf) && in.value >= 0 {
		n += operands(w.m.types[in.value])
	}
	return n
}

// operands weighs what a call or block takes and leaves. Each may have two more
// places on the stack, of 8 bytes or, a vector, 16.
func operands(t FuncType) (n int64) {
	for _, list := range [][]ValueType{t.Params, t.Results} {
		for _, v := range list {
			n += 4
			if v == v128 {
				n += 4
			}
		}
	}
	return n
}

// lightWeight is the weight of the function itself when callers pay for it. Before
// weigh has run it is zero: weigh adds the callees.
func (w *rewriter) lightWeight(index uint32) int64 {
	i := int(index) - len(w.m.Imports)
	if w.profiles == nil || i < 0 || w.profiles[i].heavy {
		return 0
	}
	return w.profiles[i].weight
}
