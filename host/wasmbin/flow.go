package wasmbin

// label is a construct that branches leave or repeat.
type label struct {
	loop      bool
	blockType int64
	start     int64     // position of a loop's head
	dispatch  *dispatch // of a loop that begins with one
	end       *int64    // where its end is to be noted, if anybody asked
}

// dispatch is the head of a loop that goes on where a local says; see fuel.go.
type dispatch struct {
	local   uint32
	targets []*int64 // where the labels end, ahead while they have not; nil for a loop
}

// ahead is the end of a block that has not ended.
const ahead = -1

// flow follows the instructions of one function and says which branches go back,
// and how far.
type flow struct {
	r        *reader
	labels   []label // the function's own, then those that are open
	position int64

	head     headState // how much of a dispatch was seen
	selector uint32    // its local

	previous [2]instr
}

type headState byte

const (
	headNone   headState = iota
	headBlocks           // a loop, and nothing in it but blocks
	headGet              // then local.get
)

// target returns the label that is depth levels up.
func (f *flow) target(depth uint32) *label {
	if uint64(depth) >= uint64(len(f.labels)) {
		f.r.fail("a branch to a label that does not exist")
		return &label{}
	}
	return &f.labels[len(f.labels)-1-int(depth)]
}

// step takes in the next instruction and returns how far it may go back without
// another charge, zero when it never does.
func (f *flow) step(in instr, weight int64) (back int64) {
	switch in.op {
	case opBlock, opIf, opLoop:
		f.labels = append(f.labels, label{loop: in.op == opLoop, blockType: in.value, start: f.position})
	}
	f.position += weight
	switch in.op {
	case opEnd:
		f.close()
	case opBr, opBrIf:
		back = f.branch(in)
	case opBrTable:
		back = f.table(in)
	}
	f.watchHead(in)
	f.previous = [2]instr{f.previous[1], in}
	return back
}

func (f *flow) close() {
	last := len(f.labels) - 1
	if end := f.labels[last].end; end != nil {
		*end = f.position
	}
	f.labels = f.labels[:last]
}

// branch returns how far a br or br_if goes back.
func (f *flow) branch(in instr) int64 {
	to := f.target(in.index)
	if !to.loop {
		return 0
	}
	constant, set := f.previous[0], f.previous[1]
	d := to.dispatch
	if d == nil || in.op != opBr || set.op != opLocalSet || set.index != d.local || constant.op != opI32Const {
		return f.position - to.start
	}
	k := min(uint32(constant.value), uint32(len(d.targets)-1))
	switch end := d.targets[k]; {
	case end == nil:
		return f.position - to.start
	case *end == ahead:
		return 0
	default:
		return f.position - *end
	}
}

// table returns how far a br_table goes back at most.
func (f *flow) table(in instr) (back int64) {
	in.branchTable(f.r.data, func(depth uint32) {
		if to := f.target(depth); to.loop {
			back = max(back, f.position-to.start)
		}
	})
	return back
}

// watchHead looks for dispatches. Every instruction but the expected one ends the
// search.
func (f *flow) watchHead(in instr) {
	switch {
	case in.op == opLoop:
		f.head = headBlocks
	case f.head == headBlocks && in.op == opBlock && in.value == typeEmpty:
	case f.head == headBlocks && in.op == opLocalGet:
		f.head, f.selector = headGet, in.index
	case f.head == headGet && in.op == opBrTable:
		f.addDispatch(in)
		f.head = headNone
	default:
		f.head = headNone
	}
}

// addDispatch notes the br_table at the head of the innermost loop.
func (f *flow) addDispatch(in instr) {
	d := &dispatch{local: f.selector}
	in.branchTable(f.r.data, func(depth uint32) {
		to := f.target(depth)
		if !to.loop && to.end == nil {
			to.end = new(int64)
			*to.end = ahead
		}
		d.targets = append(d.targets, to.end)
	})
	loop := len(f.labels) - 1
	for !f.labels[loop].loop {
		loop--
	}
	f.labels[loop].dispatch = d
}
