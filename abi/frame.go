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
	ErrPairs     = errors.New("abi: malformed or overlong list of pairs")
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

// frameReader walks the fields of one frame and enforces their order.
type frameReader struct {
	rest []byte
	last int
}

func readFrame(b []byte, kind uint16) (frameReader, error) {
	if len(b) < HeaderSize {
		return frameReader{}, ErrTruncated
	}
	if binary.LittleEndian.Uint16(b) != kind {
		return frameReader{}, ErrFrameKind
	}
	if binary.LittleEndian.Uint16(b[2:]) != 0 {
		return frameReader{}, ErrReserved
	}
	switch n := uint64(binary.LittleEndian.Uint32(b[4:])); {
	case n > uint64(len(b)) || n < HeaderSize:
		return frameReader{}, ErrTruncated
	case n < uint64(len(b)):
		return frameReader{}, ErrTrailing
	}
	return frameReader{rest: b[HeaderSize:], last: -1}, nil
}

// next returns the next field, or ok == false at the end of the frame.
func (r *frameReader) next() (typ uint16, data []byte, ok bool, err error) {
	if len(r.rest) == 0 {
		return 0, nil, false, nil
	}
	if len(r.rest) < fieldHeaderSize {
		return 0, nil, false, ErrTruncated
	}
	typ = binary.LittleEndian.Uint16(r.rest)
	n := uint64(binary.LittleEndian.Uint32(r.rest[2:]))
	if n > uint64(len(r.rest)-fieldHeaderSize) {
		return 0, nil, false, ErrTruncated
	}
	if int(typ) <= r.last {
		return 0, nil, false, ErrOrder
	}
	r.last = int(typ)
	data = r.rest[fieldHeaderSize : fieldHeaderSize+n : fieldHeaderSize+n]
	r.rest = r.rest[fieldHeaderSize+n:]
	return typ, data, true, nil
}

// decodeFields hands every field of the frame b to known, which decodes it or
// returns false; the fields it does not know are kept in *unknown.
func decodeFields(b []byte, kind uint16, unknown *[]Field, known func(typ uint16, data []byte, err *error) bool) error {
	r, err := readFrame(b, kind)
	head := HeaderSize
	for err == nil {
		var typ uint16
		var data []byte
		var ok bool
		typ, data, ok, err = r.next()
		if !ok {
			return err
		}
		head += fieldHeaderSize
		if typ != fieldBody {
			head += len(data)
		}
		if head > MaxHead || typ == fieldBody && len(data) > MaxBody {
			return ErrTooLarge
		}
		if !known(typ, data, &err) {
			*unknown = append(*unknown, Field{typ, data})
		}
	}
	return err
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

func readString(data []byte, err *error) string {
	if len(data) == 0 {
		*err = ErrZeroField
	}
	return borrowString(data)
}

func readBytes(data []byte, err *error) []byte {
	if len(data) == 0 {
		*err = ErrZeroField
	}
	return data
}

func readU32(data []byte, err *error) uint32 {
	if len(data) != 4 {
		*err = ErrFieldSize
		return 0
	}
	v := binary.LittleEndian.Uint32(data)
	if v == 0 {
		*err = ErrZeroField
	}
	return v
}

func readI64(data []byte, err *error) int64 {
	if len(data) != 8 {
		*err = ErrFieldSize
		return 0
	}
	v := int64(binary.LittleEndian.Uint64(data))
	if v == 0 {
		*err = ErrZeroField
	}
	return v
}
