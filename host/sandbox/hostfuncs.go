package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

// hostFunc is a function offered to guests. args holds its parameters, one a
// word; the result is what the guest sees.
type hostFunc struct {
	params string // 'i' for i32, 'I' for i64
	result string
	call   func(r *run, mem guestMemory, args []uint64) uint64
}

// hostModules lists everything a guest may import, by module and name.
func hostModules() map[string]map[string]hostFunc {
	return map[string]map[string]hostFunc{abi.Module: sporeFuncs(), wasiModule: wasiFuncs()}
}

// sporeFuncs is the ABI of this package's guests: abi/README.md, section imports.
func sporeFuncs() map[string]hostFunc {
	i32 := func(fn func(r *run, mem guestMemory, a []uint32) int32) func(*run, guestMemory, []uint64) uint64 {
		return func(r *run, mem guestMemory, args []uint64) uint64 {
			var a [4]uint32
			for i := range args {
				a[i] = uint32(args[i])
			}
			return uint64(uint32(fn(r, mem, a[:len(args)])))
		}
	}
	return map[string]hostFunc{
		abi.ImportGetNextRequest: {"ii", "i", i32(getNextRequest)},
		abi.ImportBodyRead:       {"iii", "i", i32(bodyRead)},
		abi.ImportSendResponse:   {"ii", "i", i32(sendResponse)},
		abi.ImportSendError:      {"ii", "i", i32(sendError)},
		abi.ImportHTTPStart:      {"ii", "i", i32(httpStart)},
		abi.ImportSecretGet:      {"iiii", "i", i32(secretGet)},
		abi.ImportKVStart:        {"ii", "i", i32(kvStart)},
		abi.ImportLog:            {"ii", "i", i32(logRecord)},
	}
}

// instantiateHostModules registers everything a rewritten module imports with the
// runtime.
func instantiateHostModules(ctx context.Context, rt wazero.Runtime) error {
	// What a yield takes is the guest's own time: the price of being stoppable.
	yield := api.GoFunc(func(ctx context.Context, stack []uint64) { stack[0] = uint64(ctx.(*run).yield(stack)) })
	b := rt.NewHostModuleBuilder(wasmbin.YieldModule)
	b.NewFunctionBuilder().WithGoFunction(yield, types[api.ValueType]("i"), types[api.ValueType]("I")).Export(wasmbin.Yield)
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate host module %s: %w", wasmbin.YieldModule, err)
	}
	for module, funcs := range hostModules() {
		b := rt.NewHostModuleBuilder(module)
		for name, fn := range funcs {
			b.NewFunctionBuilder().WithGoFunction(fn.goFunc(), types[api.ValueType](fn.params), types[api.ValueType](fn.result)).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("instantiate host module %s: %w", module, err)
		}
	}
	return nil
}

// goFunc adapts f to the engine, takes the time spent in it, ends a run that is
// over its deadline and lets others run when this one has had its quantum: fuel
// counts what the guest does, not what host functions cost.
func (f hostFunc) goFunc() api.GoFunc {
	n := len(f.params)
	return func(ctx context.Context, stack []uint64) {
		r := ctx.(*run)
		start := r.img.engine.elapsed()
		r.deliver(true)
		if r.relent(start) {
			start = r.img.engine.elapsed()
		}
		res := f.call(r, guestMemory{r.inst.mem}, stack[:n])
		if f.result != "" {
			stack[0] = res
		}
		r.host += r.img.engine.elapsed() - start
	}
}

// types returns a signature's types. Both packages that have a name for them use
// the binary format's bytes, which is why one function can serve both.
func types[T ~byte](signature string) []T {
	list := make([]T, len(signature))
	for i := range signature {
		list[i] = T(wasmbin.I32)
		if signature[i] == 'I' {
			list[i] = T(wasmbin.I64)
		}
	}
	return list
}

// copyPiece is how many bytes are copied at once before others may get their turn:
// a mebibyte takes 0.3 to 1 ms where memory is touched for the first time.
const copyPiece = 128 << 10

// copyInPieces copies from to to, which are of the same length.
func (r *run) copyInPieces(to, from []byte) {
	for len(from) > copyPiece {
		copy(to, from[:copyPiece])
		to, from = to[copyPiece:], from[copyPiece:]
		r.relent(r.img.engine.elapsed())
	}
	copy(to, from)
}

// refusal is the kind for a frame that was not accepted.
func refusal(err error) abi.Kind {
	if errors.Is(err, abi.ErrTooLarge) {
		return abi.TooLarge
	}
	return abi.Invalid
}

func getNextRequest(r *run, mem guestMemory, a []uint32) int32 {
	switch r.phase {
	case phaseInit:
		panic(errFrozen)
	case phaseWaiting:
	default:
		return r.outOfOrder()
	}
	if r.frame == nil {
		r.inst.frame = abi.AppendEvent(r.inst.frame[:0], r.ev)
		r.frame = r.inst.frame
	}
	ptr, size := a[0], a[1]
	if uint64(len(r.frame)) > uint64(size) {
		return int32(len(r.frame))
	}
	if !mem.write(ptr, r.frame) {
		return abi.Invalid.Errno()
	}
	r.phase = phaseServing
	return int32(len(r.frame))
}

func bodyRead(r *run, mem guestMemory, a []uint32) int32 {
	if r.phase != phaseServing {
		return r.outOfOrder()
	}
	ptr, size, offset := a[0], a[1], a[2]
	if uint64(offset) > uint64(len(r.ev.Body)) {
		return abi.Invalid.Errno()
	}
	rest := r.ev.Body[offset:]
	rest = rest[:min(uint64(len(rest)), uint64(size))]
	view, ok := mem.read(ptr, uint32(len(rest)))
	if !ok {
		return abi.Invalid.Errno()
	}
	r.copyInPieces(view, rest)
	return int32(len(rest))
}

func sendResponse(r *run, mem guestMemory, a []uint32) int32 {
	if r.phase != phaseServing {
		return r.outOfOrder()
	}
	frame, kind := r.copyOut(mem, r.inst.answer, a[0], a[1], abi.MaxHead+abi.MaxBody)
	if kind != abi.None {
		return kind.Errno()
	}
	if cap(frame) <= function.LongBody { // the room that an instance keeps
		r.inst.answer = frame
	}
	if err := r.result.Decode(frame); err != nil {
		return refusal(err).Errno()
	}
	r.phase, r.pending = phaseAnswered, true
	return 0
}

func sendError(r *run, mem guestMemory, a []uint32) int32 {
	if r.phase != phaseServing {
		return r.outOfOrder()
	}
	frame, kind := r.copyOut(mem, nil, a[0], a[1], abi.MaxHead)
	if kind != abi.None {
		return kind.Errno()
	}
	var report abi.Error
	if err := report.Decode(frame); err != nil {
		return refusal(err).Errno()
	}
	r.output.reported(r, &report)
	r.phase, r.guestErr = phaseAnswered, &report
	panic(errReported) // nothing is left to do for the guest, and the client is waiting
}

func httpStart(r *run, mem guestMemory, a []uint32) int32 {
	http := r.can.HTTP
	req := new(abi.HTTPRequest)
	n, kind := r.callFrame(mem, a, http != nil, abi.MaxHead+abi.MaxBody, req)
	if kind != abi.None {
		return kind.Errno()
	}
	return r.calls.start(r, n, func(ctx context.Context) ([]byte, io.ReadCloser) {
		head, body := http(ctx, req)
		return abi.AppendHTTPHead(nil, &head), body
	})
}

func kvStart(r *run, mem guestMemory, a []uint32) int32 {
	kv := r.can.KV
	req := new(abi.KVRequest)
	n, kind := r.callFrame(mem, a, kv != nil, abi.MaxHead+abi.MaxKVValue, req)
	if kind != abi.None {
		return kind.Errno()
	}
	return r.calls.start(r, n, func(ctx context.Context) ([]byte, io.ReadCloser) {
		answer, release := kv(ctx, req)
		frame := abi.AppendKVAnswer(nil, &answer)
		return nil, &releasing{bytes.NewReader(frame), release} // read as a body, so that the guest has to keep up
	})
}

// releasing is an answer whose bytes are counted by the capability until they are read.
type releasing struct {
	*bytes.Reader
	release func()
}

func (r *releasing) Close() error {
	r.release()
	return nil
}

// callFrame reads the frame that starts a call, or says why there will be none.
func (r *run) callFrame(mem guestMemory, a []uint32, granted bool, limit int, req interface{ Decode([]byte) error }) (size int, _ abi.Kind) {
	switch {
	case r.phase == phaseWaiting:
		return 0, abi.KindOfErrno(r.outOfOrder())
	case r.phase == phaseInit || !granted:
		return 0, abi.Denied
	case !r.calls.admits(a[1]):
		return 0, abi.Overloaded
	}
	frame, kind := r.copyOut(mem, nil, a[0], a[1], limit)
	if kind != abi.None {
		return 0, kind
	}
	if err := req.Decode(frame); err != nil {
		return 0, refusal(err)
	}
	return len(frame), abi.None
}

func secretGet(r *run, mem guestMemory, a []uint32) int32 {
	switch {
	case r.phase == phaseWaiting:
		return r.outOfOrder()
	case r.phase == phaseInit || r.can.Secret == nil:
		return abi.Denied.Errno()
	}
	name, kind := r.copyOut(mem, nil, a[0], a[1], abi.MaxSecretName)
	if kind != abi.None {
		return kind.Errno()
	}
	value, err := r.can.Secret(string(name))
	if err != nil {
		return function.KindOf(err).Errno()
	}
	ptr, size := a[2], a[3]
	if uint64(len(value)) <= uint64(size) && !mem.write(ptr, value) {
		return abi.Invalid.Errno()
	}
	return int32(len(value))
}

func logRecord(r *run, mem guestMemory, a []uint32) int32 {
	if r.phase == phaseWaiting {
		return r.outOfOrder()
	}
	frame, kind := r.copyOut(mem, nil, a[0], a[1], abi.MaxLogRecord)
	if kind != abi.None {
		return kind.Errno()
	}
	var rec abi.LogRecord
	if err := rec.Decode(frame); err != nil {
		return refusal(err).Errno()
	}
	r.output.record(r, rec)
	return 0
}
