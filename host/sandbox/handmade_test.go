package sandbox_test

import (
	"encoding/binary"

	"spore/abi"
)

// handmade builds small modules from calls of host functions, for what no Go
// guest would do. A module checks every result itself and traps on a wrong one.
type handmade struct {
	init   []step // before get_next_request; the call that freezes is added
	serve  []step
	tail   []byte // instructions after serve's steps
	data   map[uint32][]byte
	random int32             // export spore_random, which returns this; 0 for no export
	noInit bool              // main returns without asking for a request
	names  map[string]string // import names to use instead
	types  map[string]int    // numbers of parameters to use instead
}

// step is one call: name, arguments, and the result it must have.
type step struct {
	fn   string
	args []int32
	want int32
}

func call(fn string, want int32, args ...int32) step { return step{fn, args, want} }

// imports of a handmade module, in index order, with their numbers of parameters.
var imports = []struct {
	name   string
	params int
}{
	{abi.ImportGetNextRequest, 2}, {abi.ImportBodyRead, 3}, {abi.ImportSendResponse, 2}, {abi.ImportSendError, 2},
	{abi.ImportHTTPStart, 2}, {abi.ImportSecretGet, 4}, {abi.ImportLog, 2},
}

const (
	eventAt    = 0x8000 // where get_next_request may write
	eventSize  = 0x4000
	resultAt   = 0x100
	errorAt    = 0x200
	logAt      = 0x300
	httpAt     = 0x400
	nameAt     = 0x500
	memorySize = 0x10000
)

var (
	resultFrame = abi.AppendResult(nil, &abi.Result{Status: 201, Body: []byte("made by hand")})
	errorFrame  = abi.AppendError(nil, &abi.Error{Type: "Oops", Message: "by hand"})
	logFrame    = abi.AppendLogRecord(nil, &abi.LogRecord{Message: "hello"})
	httpFrame   = abi.AppendHTTPRequest(nil, &abi.HTTPRequest{URL: "https://example.test/"})
)

func take(want int32) step     { return call(abi.ImportGetNextRequest, want, eventAt, eventSize) }
func respond() step            { return call(abi.ImportSendResponse, 0, resultAt, int32(len(resultFrame))) }
func failWith() step           { return call(abi.ImportSendError, 0, errorAt, int32(len(errorFrame))) }
func (s step) as(w int32) step { s.want = w; return s }

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func sleb(v int32) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func vec(items ...[]byte) []byte {
	b := leb(len(items))
	for _, it := range items {
		b = append(b, it...)
	}
	return b
}

func sized(b []byte) []byte { return append(leb(len(b)), b...) }

func section(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

func str(s string) []byte { return sized([]byte(s)) }

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// code returns the instructions of steps. A negative want of anyResult drops it.
const anyResult = -1 << 31

func (m handmade) code(steps []step) []byte {
	var b []byte
	for _, s := range steps {
		for _, a := range s.args {
			b = append(append(b, 0x41), sleb(a)...)
		}
		for i, im := range imports {
			if im.name == s.fn {
				b = append(b, 0x10, byte(i))
			}
		}
		if s.want == anyResult {
			b = append(b, 0x1a) // drop
			continue
		}
		b = append(append(b, 0x41), sleb(s.want)...)
		b = append(b, 0x47, 0x04, 0x40, 0x00, 0x0b) // i32.ne; if; unreachable; end
	}
	return b
}

func (m handmade) bytes() []byte {
	var types, ims [][]byte
	for n := range 5 { // type n: n parameters, one result
		params := make([]byte, n)
		for i := range params {
			params[i] = 0x7f
		}
		types = append(types, cat([]byte{0x60}, sized(params), []byte{1, 0x7f}))
	}
	types = append(types, []byte{0x60, 0, 0}, []byte{0x60, 0, 1, 0x7e}) // 5: nothing; 6: () -> i64
	for _, im := range imports {
		name, params := im.name, im.params
		if other, ok := m.names[name]; ok {
			name = other
		}
		if other, ok := m.types[im.name]; ok {
			params = other
		}
		ims = append(ims, cat(str(abi.Module), str(name), []byte{0, byte(params)}))
	}
	start := m.code(m.init)
	if !m.noInit {
		start = append(start, m.code([]step{call(abi.ImportGetNextRequest, anyResult, 0, 0)})...)
	}
	serve := append(m.code(m.serve), m.tail...)
	body := func(code []byte) []byte { return sized(cat([]byte{0}, code, []byte{0x0b})) }
	first := byte(len(imports))
	exports := [][]byte{cat(str(abi.ExportMemory), []byte{2, 0}), cat(str(abi.ExportStart), []byte{0, first}), cat(str(abi.ExportServe), []byte{0, first + 1})}
	if m.random != 0 {
		exports = append(exports, cat(str(abi.ExportRandom), []byte{0, first + 2}))
	}
	random := cat([]byte{0x42}, sleb(m.random)) // i64.const
	data := map[uint32][]byte{resultAt: resultFrame, errorAt: errorFrame, logAt: logFrame, httpAt: httpFrame, nameAt: []byte("TOKEN")}
	for at, b := range m.data {
		data[at] = b
	}
	var segments [][]byte
	for at, b := range data {
		segments = append(segments, cat([]byte{0, 0x41}, sleb(int32(at)), []byte{0x0b}, sized(b)))
	}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec(types...)),
		section(2, vec(ims...)),
		section(3, []byte{3, 5, 5, 6}),
		section(5, []byte{1, 0, 1}),
		section(7, vec(exports...)),
		section(10, vec(body(start), body(serve), body(random))),
		section(11, vec(segments...)))
}
