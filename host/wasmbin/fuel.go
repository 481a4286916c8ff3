package wasmbin

// This file writes the code that charges fuel; flow.go says where it is needed,
// weight.go how much.
//
// A unit of fuel stands for about one instruction. Every instruction has a
// weight, and a position in its function: the sum of all weights before it.
// Control moves forward through the positions of a function, except that a branch
// to a loop takes it back to the loop's head. What one activation executes
// is therefore at most the length of the function, and for each branch back the
// length of the way it went back. So a function is charged its length at its
// entry and every branch back is charged its way; branches forward are free.
// Functions that are light are not charged: their length is part of the
// instruction that calls them (callgraph.go).
//
// Code made by Go has one loop in a function, and every jump goes through its head:
//
//	loop
//	  block … block                          ;; one for each piece of code
//	    local.get $b
//	    br_table …                           ;; to the end of a block
//	  end
//	  …
//	  i32.const k  local.set $b  br $loop    ;; a jump to the k-th piece
//
// Of a branch in exactly this form it is known where control is after the
// head's two instructions. When that is forward of the branch nothing is due:
// the two come on top of the three of the jump. When it is behind, the way back
// ends there. Everything that only looks like this form is charged all the way
// to the head. Charging all of Go's jumps like that cost 20 % of JSON work, not
// 3 %.

// What is paid for at an entry may run after a yield, when a call comes back, and the call
// stack holds many functions that wait for theirs: 8,000 loads behind a function's call of
// itself, 15,000 deep, went 83 s without a yield. So there are two ways in which functions
// that call heavy ones yield on the way back.
//
// A long one is charged its length once more at its end. There is one: its body is in a
// block, and a return is a branch out of it. For short ones that would cost 7 % of JSON
// work.
//
// Each yields at its end when it has yielded at its entry and Yield, which is told that it
// is called there, wants that. This costs nothing, because all of it is behind the yield:
//
//	fuel -= length
//	if fuel < 0 && refill(1) {
//	  fuel += length                          ;; what is called pays it again
//	  call the function itself, with the same parameters
//	  refill(0)
//	  return
//	}
//
// So Yield knows where on the stack calls that come back will yield. Where it finds none for
// long, it gives no fuel, and the next entry yields.

// charge appends: fuel -= units, and yield when it is below zero.
func (w *rewriter) charge(b []byte, units int64) []byte {
	return w.yieldBelowZero(w.takeFuel(b, units), 0, opDrop)
}

// chargeEntry appends the charge of a function at its entry. What a very long one has
// beyond longWeight is taken once more behind the yield, from the slice that it brought.
func (w *rewriter) chargeEntry(b []byte, index int, p *profile) []byte {
	if p.deep {
		b = w.yieldBelowZero(w.takeFuel(b, p.weight), 1, w.again(index, p.weight)...)
	} else {
		b = w.charge(b, p.weight)
	}
	if more := p.weight - longWeight; more > 0 {
		b = appendU32(append(w.takeFuel(b, more), opGlobalSet), w.fuel())
	}
	return b
}

// again returns what follows on refill at the entry of a function.
func (w *rewriter) again(index int, length int64) []byte {
	b := []byte{opI32Eqz, opBrIf, 0}
	b = appendU32(append(w.takeFuel(b, -length), opGlobalSet), w.fuel())
	for i := range w.m.types[w.m.funcs[index]].Params {
		b = appendU32(append(b, opLocalGet), uint32(i))
	}
	b = appendU32(append(b, opCall), w.shift(uint32(len(w.m.Imports)+index)))
	return append(w.callRefill(b, 0), opDrop, opReturn)
}

// takeFuel appends: fuel - units.
func (w *rewriter) takeFuel(b []byte, units int64) []byte {
	b = appendU32(append(b, opGlobalGet), w.fuel())
	return append(appendS64(append(b, opI64Const), units), opI64Sub)
}

// chargedBrIf appends a br_if that is charged when it is taken.
func (w *rewriter) chargedBrIf(b []byte, in instr, units int64) []byte {
	b = w.charge(append(b, opIf, blockEmpty), units)
	return append(appendU32(append(b, opBr), in.index+1), opEnd)
}

func (w *rewriter) fuel() uint32 { return uint32(len(w.m.globals)) }

// yieldBelowZero appends: fuel = top of stack; if fuel < 0 { refill(atEntry) then }. It is a
// branch out of a block, because wazero puts what is in an if right behind its
// condition, and the usual way is then a jump: 8 % against 5 % on JSON work.
func (w *rewriter) yieldBelowZero(b []byte, atEntry byte, then ...byte) []byte {
	b = appendU32(append(b, opGlobalSet), w.fuel())
	b = appendU32(append(b, opBlock, blockEmpty, opGlobalGet), w.fuel())
	b = append(b, opI64Const, 0, opI64GeS, opBrIf, 0)
	return append(append(w.callRefill(b, atEntry), then...), opEnd)
}

func (w *rewriter) callRefill(b []byte, atEntry byte) []byte {
	return appendU32(append(b, opI32Const, atEntry, opCall), w.ownIndex(ownRefill))
}

// refill returns the body of the function that calls Yield, sets the fuel to what that
// returns, and returns whether it was less than zero. It is there because checks are
// everywhere, and a call of the module's own function takes less code than one of the
// host's.
func (w *rewriter) refill() []byte {
	const atEntry, got = 0, 1
	b := appendU32([]byte{1, 1, byte(I64), opLocalGet, atEntry, opCall}, uint32(len(w.m.Imports)))
	b = append(b, opLocalTee, got, opI64Const, 0, opLocalGet, got, opI64Sub, opLocalGet, got, opI64Const, 0, opI64GeS, opSelect)
	b = appendU32(append(b, opGlobalSet), w.fuel())
	return append(b, opLocalGet, got, opI64Const, 0, opI64LtS, opEnd)
}
