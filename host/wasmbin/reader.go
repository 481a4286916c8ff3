package wasmbin

import (
	"fmt"
	"unicode/utf8"
)

// Error says where in the module something cannot be accepted, and what.
type Error struct {
	Offset int // bytes from the beginning of the file
	Text   string
}

func (e *Error) Error() string { return fmt.Sprintf("module offset %#x: %s", e.Offset, e.Text) }

// reader reads a module front to back. The first thing it cannot accept sticks
// as err and every later read returns zero, so that the parser reads straight
// on and asks once. No read allocates by a length that is not covered by bytes
// that are really there.
type reader struct {
	data []byte
	pos  int
	base int // offset of data[0] in the file
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &Error{r.base + r.pos, fmt.Sprintf(format, args...)}
		r.pos = len(r.data)
	}
}

func (r *reader) more() bool { return r.err == nil && r.pos < len(r.data) }

func (r *reader) byte() byte {
	if r.pos >= len(r.data) {
		r.fail("unexpected end")
		return 0
	}
	r.pos++
	return r.data[r.pos-1]
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)-r.pos) {
		r.fail("a length of %d bytes where %d are left", n, len(r.data)-r.pos)
		return nil
	}
	r.pos += int(n)
	return r.data[r.pos-int(n) : r.pos]
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	if r.pos < len(r.data) && r.data[r.pos] < 0x80 { // nearly all of them
		r.pos++
		return uint32(r.data[r.pos-1])
	}
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail("integer over 32 bits")
	return 0
}

// signed reads a signed LEB128 of at most the given bits and returns it.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if rest := 64 - shift - 7; rest > 0 {
			v = v << rest >> rest
		}
		// The bits of the last byte that lie beyond the number are its sign.
		if sign := int64(int8(b<<1)) >> 1 >> min(7, bits-shift-1); sign != 0 && sign != -1 {
			break
		}
		return v
	}
	r.fail("integer over %d bits", bits)
	return 0
}

// count reads the length of a vector whose items take at least one byte each.
func (r *reader) count(limit uint32, what string) int { return r.vector(limit, 1, what) }

// vector reads the length of a vector whose shortest item takes size bytes. What
// it returns is therefore in proportion to the bytes that are there, and may be
// allocated by.
func (r *reader) vector(limit, size uint32, what string) int {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.data)-r.pos) {
		r.fail("%d %s in %d bytes", n, what, len(r.data)-r.pos)
		return 0
	}
	if n > limit {
		r.fail("%d %s; spore accepts %d", n, what, limit)
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if len(b) > maxNameBytes {
		r.fail("a name of %d bytes; spore accepts %d", len(b), maxNameBytes)
		return ""
	}
	if !utf8.Valid(b) {
		r.fail("a name that is not UTF-8")
	}
	return string(b)
}

// valueType reads a type of WebAssembly 2.0. Those of later proposals can take
// several bytes, and would throw a reader that does not know them out of step.
func (r *reader) valueType() ValueType {
	t := ValueType(r.byte())
	switch t {
	case I32, I64, F32, F64, v128, funcref, externref:
		return t
	}
	r.fail("value type %#x is not supported", byte(t))
	return 0
}

func (r *reader) refType() ValueType {
	t := r.valueType()
	if t != funcref && t != externref {
		r.fail("type %#x is not a reference", byte(t))
	}
	return t
}

// sub returns a reader over the next n bytes.
func (r *reader) sub(n uint32) *reader {
	s := &reader{base: r.base + r.pos}
	s.data = r.bytes(n)
	s.err = r.err
	return s
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}

func appendSection(b []byte, id byte, content []byte) []byte {
	return append(appendU32(append(b, id), uint32(len(content))), content...)
}
