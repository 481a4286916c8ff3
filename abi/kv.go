package abi

import "encoding/binary"

// KVOp is what is done with the function's keys.
type KVOp uint32

// The operations of version 1. A host answers Invalid to others.
const (
	KVGet    KVOp = 1
	KVPut    KVOp = 2 // whatever the key holds
	KVUpdate KVOp = 3 // of a key at Revision; 0: of one that is not there
	KVDelete KVOp = 4 // of a key at Revision; 0: whatever it holds
	KVList   KVOp = 5
)

// KVRequest is an operation on the function's keys, given to kv_start.
type KVRequest struct {
	Op       KVOp
	Key      string // of a list, the prefix of the keys
	Revision int64
	ExpiryMS int64  // of a put or update, milliseconds from now; 0 means never
	After    string // of a list: keys behind this one
	Limit    uint32 // of a list: at most so many keys; 0 means MaxKVKeys
	Body     []byte // the value
	Unknown  []Field
}

const (
	kvRequestOp       = 1
	kvRequestKey      = 2
	kvRequestRevision = 3
	kvRequestExpiry   = 4
	kvRequestAfter    = 5
	kvRequestLimit    = 6
	kvRequestBody     = fieldBody
)

// AppendKVRequest appends req's frame to dst.
func AppendKVRequest(dst []byte, req *KVRequest) []byte {
	w := writeFrame(dst, frameKVRequest, req.Unknown)
	w.u32(kvRequestOp, uint32(req.Op))
	w.str(kvRequestKey, req.Key)
	w.i64(kvRequestRevision, req.Revision)
	w.i64(kvRequestExpiry, req.ExpiryMS)
	w.str(kvRequestAfter, req.After)
	w.u32(kvRequestLimit, req.Limit)
	w.bytes(kvRequestBody, req.Body)
	return w.finish()
}

// Decode sets *req from the frame b and borrows b's bytes. On error *req is
// the zero KVRequest.
func (req *KVRequest) Decode(b []byte) error {
	*req = KVRequest{}
	var r frameReader
	for typ, data := range r.fields(b, frameKVRequest) {
		switch typ {
		case kvRequestOp:
			req.Op = KVOp(r.u32(data))
		case kvRequestKey:
			req.Key = r.string(data)
		case kvRequestRevision:
			req.Revision = r.i64(data)
		case kvRequestExpiry:
			req.ExpiryMS = r.i64(data)
		case kvRequestAfter:
			req.After = r.string(data)
		case kvRequestLimit:
			req.Limit = r.u32(data)
		case kvRequestBody:
			req.Body = r.value(data)
		default:
			req.Unknown = append(req.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*req = KVRequest{}
	}
	return r.err
}

// KVAnswer is all there is to read on the descriptor of kv_start. Kind says why
// nothing was done, or which answer it is: NotFound and Conflict are ordinary ones.
type KVAnswer struct {
	Kind      Kind
	Message   string   // what went wrong, for the author; empty when Kind is None
	Revision  int64    // of the value that was read or written
	ExpiresMS int64    // of the value that was read, Unix milliseconds; 0 means never
	Keys      []string // of a list, in the order of their bytes
	More      uint32   // of a list: 1 when keys follow the last of Keys
	Body      []byte   // the value that was read
	Unknown   []Field
}

const (
	kvAnswerKind     = 1
	kvAnswerMessage  = 2
	kvAnswerRevision = 3
	kvAnswerExpires  = 4
	kvAnswerKeys     = 5
	kvAnswerMore     = 6
	kvAnswerBody     = fieldBody
)

// AppendKVAnswer appends a's frame to dst.
func AppendKVAnswer(dst []byte, a *KVAnswer) []byte {
	w := writeFrame(dst, frameKVAnswer, a.Unknown)
	w.u32(kvAnswerKind, uint32(a.Kind))
	w.str(kvAnswerMessage, a.Message)
	w.i64(kvAnswerRevision, a.Revision)
	w.i64(kvAnswerExpires, a.ExpiresMS)
	w.strings(kvAnswerKeys, a.Keys)
	w.u32(kvAnswerMore, a.More)
	w.bytes(kvAnswerBody, a.Body)
	return w.finish()
}

// Decode sets *a from the frame b and borrows b's bytes. On error *a is the zero
// KVAnswer.
func (a *KVAnswer) Decode(b []byte) error {
	*a = KVAnswer{}
	var r frameReader
	for typ, data := range r.fields(b, frameKVAnswer) {
		switch typ {
		case kvAnswerKind:
			a.Kind = r.kind(data)
		case kvAnswerMessage:
			a.Message = r.string(data)
		case kvAnswerRevision:
			a.Revision = r.i64(data)
		case kvAnswerExpires:
			a.ExpiresMS = r.i64(data)
		case kvAnswerKeys:
			a.Keys = r.strings(data)
		case kvAnswerMore:
			a.More = r.u32(data)
		case kvAnswerBody:
			a.Body = r.value(data)
		default:
			a.Unknown = append(a.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*a = KVAnswer{}
	}
	return r.err
}

// value reads the body of a key-value frame, whose limit is lower than others'.
func (r *frameReader) value(data []byte) []byte {
	if len(data) > MaxKVValue {
		r.err = ErrTooLarge
		return nil
	}
	return r.bytes(data)
}

func (w *frameWriter) strings(typ uint16, list []string) {
	if len(list) == 0 {
		return
	}
	n := 0
	for _, s := range list {
		n += 4 + len(s)
	}
	w.raw(typ, n)
	for _, s := range list {
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(s)))
		w.b = append(w.b, s...)
	}
}

// strings decodes a field of strings: u32 length, bytes, again and again until the
// field ends.
func (r *frameReader) strings(data []byte) []string {
	n, ok := countStrings(data)
	switch {
	case !ok || n > MaxKVKeys:
		r.err = ErrPairs
		return nil
	case n == 0:
		r.err = ErrZeroField
		return nil
	}
	list := make([]string, 0, n)
	for len(data) > 0 {
		end := 4 + int(binary.LittleEndian.Uint32(data))
		list = append(list, borrowString(data[4:end]))
		data = data[end:]
	}
	return list
}
