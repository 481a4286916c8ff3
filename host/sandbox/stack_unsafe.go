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
// 64 KiB are added and one frame, of 512 KiB at most. With the copies that wait for the
// collector that is up to 5.5 MiB of memory.
//
// deepCallStack is where the stack is deep, and what is behind calls that come back is
// no longer trusted to be short (wasmbin/fuel.go). deepSlice is the most fuel there is then, at
// random: half of it, 8,000 units on average, is how much comes back between two yields.
const (
	maxCallStack  = 3 << 19
	deepCallStack = 32 << 10
	deepSlice     = 1 << 14
)

// callStack tells how deep an engine's stack is.
type callStack struct {
	known bool
	top   reflect.Value // the engine's own field, which changes as the stack grows
}

// callStackOf looks into fn for the address its stack begins at. The engine does
// not tell how deep a call is, and counting in the guest would guess: the
// engine gives a frame a place for every value it ever spills. Where there is no
// such field, as in the interpreter that stands in for a compiler on other
// processors, the engine bounds calls itself.
func callStackOf(fn api.Function) callStack {
	return callStack{true, reflect.ValueOf(fn).Elem().FieldByName("stackTop")}
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
