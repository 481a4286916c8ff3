package abi

// Event is one request to a function. The trigger fills it and the guest reads
// it. On the host its strings and bytes may be borrowed from the trigger's
// buffers until Invoke returns or the reply was given, whichever comes first.
type Event struct {
	RequestID  string
	DeadlineMS int64 // Unix milliseconds at which the request is ended
	// ResponseDeadlineMS is when the answer must be there, Unix milliseconds.
	// Work after the answer may go on until DeadlineMS.
	ResponseDeadlineMS int64
	Function           string
	Version            string
	Trigger            string // what sent the event: "http", "invoke", …
	TraceID            string // W3C traceparent or X-Amzn-Trace-Id, as it came in
	ContentType        string
	Entropy            [EntropySize]byte // fresh in every event; filled by the sandbox
	Headers            Pairs             // names in lower case

	// The following are set for HTTP events only.
	Method     string
	Path       string // as on the wire, percent-encoding untouched
	RawQuery   string
	Params     Pairs  // route parameters, decoded
	ClientAddr string // IP address and port of the peer

	// BodySize is the length of the whole body in bytes. Encoding takes it from
	// Body; after decoding, Body is empty when BodySize is above MaxInlineBody.
	BodySize uint32
	Body     []byte

	Unknown []Field
}

const (
	eventRequestID        = 1
	eventDeadline         = 2
	eventResponseDeadline = 3
	eventFunction         = 4
	eventVersion          = 5
	eventTrigger          = 6
	eventTraceID          = 7
	eventContentType      = 8
	eventEntropy          = 9
	eventHeaders          = 10
	eventMethod           = 11
	eventPath             = 12
	eventRawQuery         = 13
	eventParams           = 14
	eventClientAddr       = 15
	eventBodySize         = 16
	eventBody             = fieldBody
)

// AppendEvent appends ev's frame to dst. A body over MaxInlineBody is left out
// of the frame; only its size is in it.
func AppendEvent(dst []byte, ev *Event) []byte {
	w := writeFrame(dst, frameEvent, ev.Unknown)
	w.str(eventRequestID, ev.RequestID)
	w.i64(eventDeadline, ev.DeadlineMS)
	w.i64(eventResponseDeadline, ev.ResponseDeadlineMS)
	w.str(eventFunction, ev.Function)
	w.str(eventVersion, ev.Version)
	w.str(eventTrigger, ev.Trigger)
	w.str(eventTraceID, ev.TraceID)
	w.str(eventContentType, ev.ContentType)
	w.bytes(eventEntropy, ev.Entropy[:])
	w.pairs(eventHeaders, ev.Headers)
	w.str(eventMethod, ev.Method)
	w.str(eventPath, ev.Path)
	w.str(eventRawQuery, ev.RawQuery)
	w.pairs(eventParams, ev.Params)
	w.str(eventClientAddr, ev.ClientAddr)
	size := ev.BodySize
	if len(ev.Body) > 0 {
		size = uint32(len(ev.Body))
	}
	w.u32(eventBodySize, size)
	if len(ev.Body) <= MaxInlineBody {
		w.bytes(eventBody, ev.Body)
	}
	return w.finish()
}

// Decode sets *ev from the frame b and borrows b's bytes. Headers are put into
// the memory of ev.Headers when there is enough of it. On error *ev is the zero
// Event.
func (ev *Event) Decode(b []byte) error {
	room := ev.Headers
	*ev = Event{}
	entropy := false
	var r frameReader
	for typ, data := range r.fields(b, frameEvent) {
		switch typ {
		case eventRequestID:
			ev.RequestID = r.string(data)
		case eventDeadline:
			ev.DeadlineMS = r.i64(data)
		case eventResponseDeadline:
			ev.ResponseDeadlineMS = r.i64(data)
		case eventFunction:
			ev.Function = r.string(data)
		case eventVersion:
			ev.Version = r.string(data)
		case eventTrigger:
			ev.Trigger = r.string(data)
		case eventTraceID:
			ev.TraceID = r.string(data)
		case eventContentType:
			ev.ContentType = r.string(data)
		case eventEntropy:
			if copy(ev.Entropy[:], data) != EntropySize || len(data) != EntropySize {
				r.err = ErrFieldSize
			}
			entropy = true
		case eventHeaders:
			ev.Headers = r.pairs(data, room)
		case eventMethod:
			ev.Method = r.string(data)
		case eventPath:
			ev.Path = r.string(data)
		case eventRawQuery:
			ev.RawQuery = r.string(data)
		case eventParams:
			ev.Params = r.pairs(data, nil)
		case eventClientAddr:
			ev.ClientAddr = r.string(data)
		case eventBodySize:
			ev.BodySize = r.u32(data)
		case eventBody:
			ev.Body = r.bytes(data)
		default:
			ev.Unknown = append(ev.Unknown, Field{typ, data})
		}
	}
	inline := uint64(len(ev.Body)) == uint64(ev.BodySize) && len(ev.Body) <= MaxInlineBody
	if r.err == nil && (!entropy || !inline && (len(ev.Body) != 0 || ev.BodySize <= MaxInlineBody)) {
		r.err = ErrFieldSize
	}
	if r.err == nil && ev.BodySize > MaxBody {
		r.err = ErrTooLarge
	}
	if r.err != nil {
		*ev = Event{}
	}
	return r.err
}
