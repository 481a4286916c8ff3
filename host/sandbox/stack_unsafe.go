package sandbox

import (
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// maxCallStack is how much of the engine's stack calls may take. The engine
// doubles it by copying, and a recursion without end would take it to 170 MB. The
// host sees it at yields only; the fuel of one slice lets a Go guest add less than
// 100 KiB until then, and a hostile one 1.5 MiB (wasmbin/weight.go). With the
// copies that wait for the collector, recursion without end takes 4 to 6 MiB.
const maxCallStack = 3 << 19

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
