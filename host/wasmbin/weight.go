package wasmbin

import "slices"

const (
	// frameWeight is what an entry counts on top of the instructions: the
	// engine's own work, and the least a call takes from the stack.
	frameWeight = 8
	// placeBytes is how much of the frame one unit stands for.
	placeBytes = 4
	// growWeight is what a memory.grow counts, for which the engine leaves native
	// code: 0.1 us. What is touched of the new pages is not in it (FuelSlice).
	growWeight = 200
	// loadWeight is what a load counts: one that misses all caches takes 100 to 300 ns, and when
	// its address comes from the load before there is nothing to do meanwhile.
	loadWeight = 4
	// endMax is the most a function may weigh that does not pay again at its end. The
	// sandbox lets 800 calls be on the stack of which none yields when it comes back, and
	// so 800,000 units may follow on a yield, beside those of a slice. On JSON work 1000 cost 1 %, 300 cost 4 to 6.
	endMax = 1000
	// longWeight is what a function may weigh without being charged for more. It runs after a
	// yield at its entry, with a slice behind it. Functions are longer than this in AWS's
	// clients, which make tables of all that a service has.
	longWeight = 1 << 17
	// movesShift makes one unit of eight locals moved from one piece of code to
	// the next.
	movesShift = 3
)

// profile is what there is to know of one function.
type profile struct {
	calls []uint32 // the functions it calls directly, by body, once for each call
	table bool     // it calls through the table
	bulk  bool
	moves int64 // weight of the locals that are moved at a join

	weight int64 // of its code; with that of its light callees once weigh has run
	heavy  bool  // charged at its entry, so that callers do not pay for it
	deep   bool  // heavy functions may run between its entry and its end
}

// paysAtEnd reports whether the function is charged for its length once more where
// it ends (fuel.go).
func (p *profile) paysAtEnd() bool { return p.deep && p.weight > endMax }

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
		if r.err == nil {
			profiles[i] = w.look(i, r)
		}
		if r.err != nil {
			w.keep(r.err)
			return
		}
	}
	weigh(profiles)
	w.profiles = profiles
}

// look goes over a function, whose instructions are at r.
func (w *rewriter) look(index int, r *reader) profile {
	s := scan{w: w, r: r, locals: w.localTypes(index), function: index + 1}
	s.weight = operands(w.m.types[w.m.funcs[index]]) // of the call of itself that again adds
	walk(r, len(s.locals), s.visit)
	p := s.finish()
	if p.weight > maxWeight && r.err == nil {
		r.pos = 0
		r.fail("a function of weight %d, by its instructions and by its variables at branches; spore accepts %d; make it several functions", p.weight, maxWeight)
	}
	return p
}

// scan looks one function over. It refuses what a snapshot cannot hold, what would
// take the host's memory, and what does not exist in the module.
type scan struct {
	w        *rewriter
	r        *reader
	locals   []ValueType // parameters included
	function int         // from 1

	profile
	labels []scanLabel // that are open, without the function's own
	joins  int64
	set    int64 // locals that are set
	bytes  int64 // of these
	places int64 // joins where each of them may have a place in the frame
	carry  int64 // weight of the operands that branches back to loops take along
}

// scanLabel is a block, or a loop and the weight of its operands.
type scanLabel struct {
	loop     bool
	operands int64
}

func (s *scan) visit(in instr) {
	s.w.m.checkIndex(s.r, in, len(s.locals))
	if s.r.err != nil {
		return
	}
	s.weight += s.w.weight(in, &s.profile)
	s.countPlaces(in)
	switch {
	case in.changesTables(), in.op == opMisc && (in.sub == miscMemInit || in.sub == miscDataDrop):
		s.r.pos = in.start
		s.r.fail("an instruction that changes tables or uses data segments; a snapshot cannot hold its effect")
	case in.op == opRefFunc: // wazero allocates for each, and gives nothing of it back before the instance ends
		s.r.pos = in.start
		s.r.fail("ref.func in a function, which takes memory that no limit counts; have the reference in a table or a global")
	case in.op == opCall && int(in.index) >= len(s.w.m.Imports):
		s.calls = append(s.calls, in.index-uint32(len(s.w.m.Imports)))
	case in.op == opCallIndirect:
		s.table = true
	case in.isBulk():
		s.bulk, s.w.hasBulk = true, true
	case in.isJoin():
		s.joins++
	case in.op == opLocalSet || in.op == opLocalTee:
		s.assigned(in.index)
	}
}

// countPlaces counts where the engine may give every local that is set a place in
// the frame that nothing else uses: at the head of a loop and the end of a block,
// where each has a value of its own; and at every branch back, which moves
// them by way of others, as it may exchange them. A branch forward moves them
// straight to where they belong.
func (s *scan) countPlaces(in instr) {
	switch in.op {
	case opBlock, opIf:
		s.labels = append(s.labels, scanLabel{})
	case opLoop:
		s.labels = append(s.labels, scanLabel{true, s.w.blockOperands(in)})
		s.places++
	case opEnd:
		s.labels = s.labels[:max(0, len(s.labels)-1)]
		s.places++
	case opBr, opBrIf:
		s.branch(in.index)
	case opBrTable:
		in.branchTable(s.r.data, s.branch)
	}
}

func (s *scan) branch(depth uint32) {
	if uint64(depth) >= uint64(len(s.labels)) {
		return // to the function's end; flow refuses what does not exist
	}
	if l := s.labels[len(s.labels)-1-int(depth)]; l.loop {
		s.places++
		s.carry += l.operands
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
		s.bytes += size(s.locals[local])
	}
}

// finish adds what the engine makes of locals. At a join it moves those that are
// set, and it may keep each in a place of its own (countPlaces). So the weight also
// bounds the bytes a call takes from the stack, at about four a unit: a frame of 200
// locals at 200 joins takes 3.6, one that keeps 10,000 values across calls 3.1.
// With that, the fuel between two yields bounds how far a recursion gets before
// the host looks at the stack.
func (s *scan) finish() profile {
	s.moves = s.set >> movesShift
	frame := s.carry + s.places*s.bytes/placeBytes
	s.weight = frameWeight + max(s.weight+s.joins*s.moves, frame)
	return s.profile
}

// size returns the bytes of a value in a frame.
func size(t ValueType) int64 {
	switch t {
	case I32, F32:
		return 4
	case v128:
		return 16
	}
	return 8
}

// localTypes returns the types of a function's parameters and locals, in memory
// that the next call uses again. Their number has been found small enough.
func (w *rewriter) localTypes(index int) []ValueType {
	list := append(w.locals[:0], w.m.types[w.m.funcs[index]].Params...)
	r := &reader{data: w.m.bodies[index].bytes}
	for range r.u32() {
		n, t := r.u32(), r.valueType()
		list = append(list, slices.Repeat([]ValueType{t}, int(n))...)
	}
	w.locals = list
	return list
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
	case opGlobalGet:
		n = max(1, size(w.m.globals[in.index].typ)/8)
	case opMemoryGrow:
		n = growWeight
	}
	if in.isLoad() {
		n = loadWeight
	}
	if in.isBulk() {
		n += bulkWeight
	}
	if in.isJoin() {
		n += p.moves
	}
	if in.op == opBlock || in.op == opLoop || in.op == opIf {
		n += w.blockOperands(in)
	}
	return n
}

func (w *rewriter) blockOperands(in instr) int64 {
	if in.value < 0 {
		return 0
	}
	return operands(w.m.types[in.value])
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
