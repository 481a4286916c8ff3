package wasmbin

// This file writes what stands in for memory.fill and memory.copy.
//
// One such instruction may work on all of memory, and while it runs nothing can
// interrupt it: over 64 MiB it held a collection up for 200 ms. Up to bulkPiece
// bytes it is charged and stays as it is. For more, it becomes the call of a
// function that yields between pieces:
//
//	fill(dst, value, n)
//	  block
//	    br_if 0 (dst + n > memory.size)
//	    loop
//	      n -= bulkPiece
//	      memory.fill (dst + n) value bulkPiece
//	      refill(0)
//	      br_if 0 (n > bulkPiece)
//	    end
//	  end
//	  memory.fill dst value n
//
// The instruction at the end does what is left; or it traps, before a byte is
// written, because it is told to do all and that lies outside of memory. A copy goes
// forward when it moves down, so that no piece overwrites what a later one reads. The
// first piece and the last are not charged, so that two of them may lie between two
// yields, on top of a slice of fuel.
//
// Calling the function for short lengths too would be less code, and made a copy
// of 64 bytes take 11 ns instead of 5.

const (
	// bulkPiece is the most bytes a bulk instruction works on at once. It takes 50
	// to 65 us, less than a slice of the sandbox's fuel.
	bulkPiece = 1 << 20
	// bulkShift makes one unit of 16 bytes filled or copied.
	bulkShift = 4
	// bulkWeight is what a bulk instruction counts besides: the instructions that
	// charge it, and the operands of a block and a call.
	bulkWeight = 40
	// bulkTargets is how many branches are written around a bulk instruction. They
	// count for the limit, as the guest's own do.
	bulkTargets = 2
)

// The parameters of the functions.
const (
	bulkDst = iota
	bulkSrc // or the value to fill with
	bulkLen
)

// bulk appends a bulk instruction, or the call in its place when it is long.
func (w *rewriter) bulk(b []byte, in instr, scratch uint32) []byte {
	code, function := memoryFill, ownFill
	if in.sub == miscMemCopy {
		code, function = memoryCopy, ownCopy
	}
	b = appendU32(append(b, opLocalTee), scratch)
	b = append(w.pieceLen(appendU32(append(b, opLocalGet), scratch)), opI32LeU)
	b = appendS64(append(b, opIf), int64(w.ownType(typeBulk)))
	b = append(w.chargeLength(b, scratch), code...)
	b = appendU32(append(b, opElse, opCall), w.ownIndex(function))
	return append(b, opEnd)
}

// chargeLength appends: fuel -= length >> bulkShift, and yield when it is below
// zero.
func (w *rewriter) chargeLength(b []byte, length uint32) []byte {
	b = appendU32(append(b, opGlobalGet), w.fuel())
	b = appendU32(append(b, opLocalGet), length)
	b = append(b, opI32Const, bulkShift, opI32ShrU, opI64ExtendI32U, opI64Sub)
	return w.yieldBelowZero(b, 0, opDrop)
}

// The bulk instructions.
const (
	memoryFill = "\xfc\x0b\x00"
	memoryCopy = "\xfc\x0a\x00\x00"
)

// fillInPieces returns the body of the function for memory.fill.
func (w *rewriter) fillInPieces() []byte {
	piece := append(addLen(nil, bulkDst), opLocalGet, bulkSrc)
	piece = append(w.pieceLen(piece), memoryFill...)
	return w.inPieces(memoryFill, piece, bulkDst)
}

// copyInPieces returns the body of the function for memory.copy.
func (w *rewriter) copyInPieces() []byte {
	piece := []byte{opLocalGet, bulkDst, opLocalGet, bulkSrc, opI32GtU, opIf, blockEmpty}
	piece = addLen(addLen(piece, bulkDst), bulkSrc)
	piece = append(w.pieceLen(piece), memoryCopy...)
	piece = append(piece, opElse, opLocalGet, bulkDst, opLocalGet, bulkSrc)
	piece = append(w.pieceLen(piece), memoryCopy...)
	piece = w.advance(w.advance(piece, bulkDst), bulkSrc)
	return w.inPieces(memoryCopy, append(piece, opEnd), bulkDst, bulkSrc)
}

// inPieces returns the body of a function for a bulk instruction. piece is the code
// for one piece, when n is what is left besides. The parameters that are addresses
// are checked.
func (w *rewriter) inPieces(code string, piece []byte, addresses ...byte) []byte {
	b := []byte{0, opBlock, blockEmpty}
	for _, address := range addresses {
		b = leaveWhenOutside(b, address)
	}
	b = append(b, opLoop, blockEmpty)
	b = append(w.pieceLen(append(b, opLocalGet, bulkLen)), opI32Sub, opLocalSet, bulkLen)
	b = append(w.callRefill(append(b, piece...), 0), opDrop, opLocalGet, bulkLen)
	b = append(w.pieceLen(b), opI32GtU, opBrIf, 0, opEnd, opEnd)
	b = append(b, opLocalGet, bulkDst, opLocalGet, bulkSrc, opLocalGet, bulkLen)
	return append(append(b, code...), opEnd)
}

// pieceLen appends the length of a piece.
func (w *rewriter) pieceLen(b []byte) []byte {
	return appendS64(append(b, opI32Const), int64(w.opt.piece))
}

// leaveWhenOutside appends: leave the block if what begins at the address ends
// outside of memory.
func leaveWhenOutside(b []byte, address byte) []byte {
	b = append(b, opLocalGet, address, opI64ExtendI32U, opLocalGet, bulkLen, opI64ExtendI32U, opI64Add)
	b = append(b, opMemorySize, 0, opI64ExtendI32U, opI64Const, 16, opI64Shl)
	return append(b, opI64GtU, opBrIf, 0)
}

// addLen appends: address + n.
func addLen(b []byte, address byte) []byte {
	return append(b, opLocalGet, address, opLocalGet, bulkLen, opI32Add)
}

// advance appends: address += a piece.
func (w *rewriter) advance(b []byte, address byte) []byte {
	return append(w.pieceLen(append(b, opLocalGet, address)), opI32Add, opLocalSet, address)
}
