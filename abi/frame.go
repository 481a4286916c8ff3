package abi

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the size of a frame's fixed header: u16 kind, u16 zero, u32
// length of the whole frame, header included.
const HeaderSize = 8

const fieldHeaderSize = 6 // u16 type, u32 length

// fieldBody is the body's type in every kind of frame that has one. MaxBody
// bounds it; MaxHead bounds all the rest of a frame.
const fieldBody = 0x100

// Kinds of frame.
const (
	frameEvent       = 1
	frameResult      = 2
	frameError       = 3
	frameHTTPRequest = 4
	frameHTTPHead    = 5
	frameLogRecord   = 6
	frameKVRequest   = 7
	frameKVAnswer    = 8
)

// Errors of the decoders. They say which rule of README.md section 3 was broken.
var (
	ErrTruncated = errors.New("abi: frame is shorter than it says")
	ErrTrailing  = errors.New("abi: bytes after the end of the frame")
	ErrFrameKind = errors.New("abi: frame of another kind")
	ErrReserved  = errors.New("abi: reserved header bytes are not zero")
	ErrOrder     = errors.New("abi: fields out of order or repeated")
	ErrZeroField = errors.New("abi: a field that should have been left out")
	ErrFieldSize = errors.New("abi: field of the wrong size")
	ErrPairs     = errors.New("abi: malformed or overlong list of pairs or strings")
	ErrTooLarge  = errors.New("abi: over the limit of version 1")
)

// Field is a field of a type this version does not know. Decoders keep such
// fields and encoders write them back, so that a newer sender's additions pass
// through unharmed.
type Field struct {
	Type uint16
	Data []byte
}

// FrameLength returns the length of the whole frame that begins with header,
// which must hold HeaderSize bytes.
func FrameLength(header []byte) int {
	return int(binary.LittleEndian.Uint32(header[4:]))
}

// frameReader walks the fields of one frame. err is what ended the walk, or what
// a field's reader found wrong, which ends it too.
type frameReader struct{ err error }

// fields is the loop over the fields of the frame b, for use in a range clause:
// the compiler then writes it out in every decoder. A guest decodes an event in
// each sandbox, and a call for every field costs more than the field.
func (r *frameReader) fields(b []byte, kind uint16) func(yield func(typ uint16, data []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		rest := r.open(b, kind)
		last, head := -1, HeaderSize
		for r.err == nil && len(rest) > 0 {
			if len(rest) < fieldHeaderSize {
				r.err = ErrTruncated
				return
			}
			typ := binary.LittleEndian.Uint16(rest)
			size := uint64(binary.LittleEndian.Uint32(rest[2:]))
			if size > uint64(len(rest)-fieldHeaderSize) {
				r.err = ErrTruncated
				return
			}
			if int(typ) <= last {
				r.err = ErrOrder
				return
			}
			end := fieldHeaderSize + int(size)
			if head += end; typ == fieldBody {
				head -= int(size)
			}
			if head > MaxHead || typ == fieldBody && size > MaxBody {
				r.err = ErrTooLarge
				return
			}
			last = int(typ)
			if !yield(typ, rest[fieldHeaderSize:end:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// open checks the header of the frame b and returns what follows it.
func (r *frameReader) open(b []byte, kind uint16) []byte {
	if len(b) < HeaderSize {
		r.err = ErrTruncated
		return nil
	}
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	switch {
	case binary.LittleEndian.Uint16(b) != kind:
		r.err = ErrFrameKind
	case binary.LittleEndian.Uint16(b[2:]) != 0:
		r.err = ErrReserved
	case n > uint64(len(b)) || n < HeaderSize:
		r.err = ErrTruncated
	case n < uint64(len(b)):
		r.err = ErrTrailing
	}
	return b[HeaderSize:]
}

// frameWriter appends one frame. Fields must be written in ascending order;
// unknown fields are merged in where they belong. Zero values are left out.
type frameWriter struct {
	b       []byte
	start   int
	unknown []Field
}

func writeFrame(dst []byte, kind uint16, unknown []Field) frameWriter {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint16(dst, kind)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	return frameWriter{b: dst, start: start, unknown: unknown}
}

func (w *frameWriter) raw(typ uint16, n int) {
	for len(w.unknown) > 0 && w.unknown[0].Type < typ {
		w.flushUnknown()
	}
	w.b = binary.LittleEndian.AppendUint16(w.b, typ)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(n))
}

func (w *frameWriter) flushUnknown() {
	f := w.unknown[0]
	w.unknown = w.unknown[1:]
	w.b = binary.LittleEndian.AppendUint16(w.b, f.Type)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(f.Data)))
	w.b = append(w.b, f.Data...)
}

func (w *frameWriter) str(typ uint16, s string) {
	if s != "" {
		w.raw(typ, len(s))
		w.b = append(w.b, s...)
	}
}

func (w *frameWriter) bytes(typ uint16, s []byte) {
	if len(s) > 0 {
		w.raw(typ, len(s))
		w.b = append(w.b, s...)
	}
}

func (w *frameWriter) u32(typ uint16, v uint32) {
	if v != 0 {
		w.raw(typ, 4)
		w.b = binary.LittleEndian.AppendUint32(w.b, v)
	}
}

func (w *frameWriter) i64(typ uint16, v int64) {
	if v != 0 {
		w.raw(typ, 8)
		w.b = binary.LittleEndian.AppendUint64(w.b, uint64(v))
	}
}

func (w *frameWriter) pairs(typ uint16, p Pairs) {
	if len(p) == 0 {
		return
	}
	n := 0
	for i := range p {
		n += pairOverhead + len(p[i].Name) + len(p[i].Value)
	}
	w.raw(typ, n)
	for i := range p {
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(p[i].Name)))
		w.b = append(w.b, p[i].Name...)
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(p[i].Value)))
		w.b = append(w.b, p[i].Value...)
	}
}

// finish writes what is left of the unknown fields and the frame's length.
func (w *frameWriter) finish() []byte {
	for len(w.unknown) > 0 {
		w.flushUnknown()
	}
	binary.LittleEndian.PutUint32(w.b[w.start+4:], uint32(len(w.b)-w.start))
	return w.b
}

// The readers below refuse a known field that carries its zero value: senders
// leave such fields out, so that every value has exactly one encoding.

func (r *frameReader) string(data []byte) string { return borrowString(r.bytes(data)) }

func (r *frameReader) bytes(data []byte) []byte {
	if len(data) == 0 {
		r.err = ErrZeroField
	}
	return data
}

func (r *frameReader) u32(data []byte) uint32 {
	if len(data) != 4 {
		r.err = ErrFieldSize
		return 0
	}
	v := binary.LittleEndian.Uint32(data)
	if v == 0 {
		r.err = ErrZeroField
	}
	return v
}

func (r *frameReader) i64(data []byte) int64 {
	if len(data) != 8 {
		r.err = ErrFieldSize
		return 0
	}
	v := int64(binary.LittleEndian.Uint64(data))
	if v == 0 {
		r.err = ErrZeroField
	}
	return v
}

func (r *frameReader) kind(data []byte) Kind {
	kind := r.u32(data)
	if kind > 255 {
		r.err = ErrFieldSize
	}
	return Kind(kind)
}
