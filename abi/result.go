package abi

// Result is a function's answer, sent with send_response.
type Result struct {
	Status      uint32 // HTTP status 200-599; 0 means 200
	ContentType string // left out when the answer has none
	Headers     Pairs
	Body        []byte
	Unknown     []Field
}

const (
	resultStatus      = 1
	resultContentType = 2
	resultHeaders     = 3
	resultBody        = fieldBody
)

// AppendResult appends res's frame to dst.
func AppendResult(dst []byte, res *Result) []byte {
	w := writeFrame(dst, frameResult, res.Unknown)
	w.u32(resultStatus, res.Status)
	w.str(resultContentType, res.ContentType)
	w.pairs(resultHeaders, res.Headers)
	w.bytes(resultBody, res.Body)
	return w.finish()
}

// Decode sets *res from the frame b and borrows b's bytes. On error *res is
// the zero Result. It checks the form of the frame; whether the status and the
// headers may go on the wire is the trigger's to judge.
func (res *Result) Decode(b []byte) error {
	*res = Result{}
	var r frameReader
	for typ, data := range r.fields(b, frameResult) {
		switch typ {
		case resultStatus:
			res.Status = r.u32(data)
		case resultContentType:
			res.ContentType = r.string(data)
		case resultHeaders:
			res.Headers = r.pairs(data, nil)
		case resultBody:
			res.Body = r.bytes(data)
		default:
			res.Unknown = append(res.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*res = Result{}
	}
	return r.err
}

// Error is a function's own error, sent with send_error. The fields are those
// of Lambda's error document: errorType, errorMessage, stackTrace.
type Error struct {
	Type    string
	Message string
	Stack   string // one frame a line; for the log, never for clients
	Unknown []Field
}

const (
	errorType    = 1
	errorMessage = 2
	errorStack   = 3
)

// AppendError appends e's frame to dst.
func AppendError(dst []byte, e *Error) []byte {
	w := writeFrame(dst, frameError, e.Unknown)
	w.str(errorType, e.Type)
	w.str(errorMessage, e.Message)
	w.str(errorStack, e.Stack)
	return w.finish()
}

// Decode sets *e from the frame b and borrows b's bytes. On error *e is the
// zero Error.
func (e *Error) Decode(b []byte) error {
	*e = Error{}
	var r frameReader
	for typ, data := range r.fields(b, frameError) {
		switch typ {
		case errorType:
			e.Type = r.string(data)
		case errorMessage:
			e.Message = r.string(data)
		case errorStack:
			e.Stack = r.string(data)
		default:
			e.Unknown = append(e.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*e = Error{}
	}
	return r.err
}
