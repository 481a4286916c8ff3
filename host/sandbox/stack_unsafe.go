package sandbox

import (
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// maxCallStack is how much of the engine's stack calls may take. The engine
// doubles it by copying, and a recursion without end would take it to 170 MB. The
// host sees it at yields only, and a unit of fuel can be 4 bytes of stack
// (wasmbin/weight.go). So slices are short where it is deep: until it is seen, some
// 150 KiB are added and one frame, of 2 MiB at most. With the copies that wait for the
// collector that is 6.5 MiB of memory in TestG8RecursionEndsInLittleMemory.
//
// deepCallStack is where the stack is deep, and how much of it there may be without a call
// that yields when it comes back: what is behind such calls was paid for long before. 32
// KiB are 800 calls, or somewhat more, and more than honest guests were seen to have at
// yields.
const (
	maxCallStack  = 3 << 19
	deepCallStack = 32 << 10
	deepSlice     = FuelSlice / 8
)

// callStack tells how deep an engine's stack is.
type callStack struct {
	known bool
	top   reflect.Value // the engine's own field, which changes as the stack grows
	marks []mark        // the outermost first
	first mark          // is before them: where the stack begins
}

// mark is a call that yields when it comes back.
type mark struct {
	depth int
	stays int // how deep the last yield was that found too much unmarked stack behind this one; 0: none did
}

// slice returns the answer to a yield (wasmbin.Yield) on a stack so deep. Where there is
// too much of it without a mark, no fuel is given, so that the next entry yields and is
// marked; but what is no deeper than it was goes on, as a long loop without such entries
// would otherwise yield at every turn.
func (s *callStack) slice(depth int, atEntry bool) int64 {
	n := len(s.marks)
	for n > 0 && s.marks[n-1].depth >= depth {
		n-- // it has come back
	}
	s.marks = s.marks[:n]
	last := &s.first
	if n > 0 {
		last = &s.marks[n-1]
	}
	switch {
	case depth <= deepCallStack:
		last.stays = 0
		return FuelSlice
	case atEntry:
		s.marks = append(s.marks, mark{depth: depth})
		return -deepSlice
	case depth-last.depth <= deepCallStack:
		last.stays = 0
	case last.stays != 0 && depth > last.stays:
		return 0
	default:
		last.stays = depth
	}
	return deepSlice
}

// callStackOf looks into fn for the address its stack begins at. The engine does
// not tell how deep a call is, and counting in the guest would guess: the
// engine gives a frame a place for every value it ever spills. Where there is no
// such field, as in the interpreter that stands in for a compiler on other
// processors, the engine bounds calls itself.
func callStackOf(fn api.Function) callStack {
	return callStack{known: true, top: reflect.ValueOf(fn).Elem().FieldByName("stackTop")}
}

// maxKeptStack is how large the engine's stack of an instance may be that serves again.
const maxKeptStack = 384 << 10

// keptStack is the engine's memory for the calls of a function. The engine never gives any
// of it back.
type keptStack struct{ bytes reflect.Value }

// keptStackOf looks into fn as callStackOf does.
func keptStackOf(fn api.Function) keptStack {
	return keptStack{reflect.ValueOf(fn).Elem().FieldByName("stack")}
}

// size is what was ever needed, also by calls that have not yielded.
func (s keptStack) size() int {
	if !s.bytes.IsValid() {
		return 0
	}
	return s.bytes.Len()
}

// used returns the bytes between the beginning of the stack and args, which the
// engine hands to a host function as a view of the end of the stack. The
// address is compared, never followed.
func (s callStack) used(args []uint64) int {
	if !s.top.IsValid() {
		return 0
	}
	return int(uintptr(s.top.Uint()) - uintptr(unsafe.Pointer(unsafe.SliceData(args))))
}
