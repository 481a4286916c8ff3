package abi

// HTTPRequest is an outbound call, given to http_start.
type HTTPRequest struct {
	Method    string // empty means GET
	URL       string
	Headers   Pairs
	TimeoutMS uint32 // 0 means until the request's deadline
	Body      []byte
	Unknown   []Field
}

const (
	httpRequestMethod  = 1
	httpRequestURL     = 2
	httpRequestHeaders = 3
	httpRequestTimeout = 4
	httpRequestBody    = fieldBody
)

// AppendHTTPRequest appends req's frame to dst.
func AppendHTTPRequest(dst []byte, req *HTTPRequest) []byte {
	w := writeFrame(dst, frameHTTPRequest, req.Unknown)
	w.str(httpRequestMethod, req.Method)
	w.str(httpRequestURL, req.URL)
	w.pairs(httpRequestHeaders, req.Headers)
	w.u32(httpRequestTimeout, req.TimeoutMS)
	w.bytes(httpRequestBody, req.Body)
	return w.finish()
}

// Decode sets *req from the frame b and borrows b's bytes. On error *req is
// the zero HTTPRequest.
func (req *HTTPRequest) Decode(b []byte) error {
	*req = HTTPRequest{}
	var r frameReader
	for typ, data := range r.fields(b, frameHTTPRequest) {
		switch typ {
		case httpRequestMethod:
			req.Method = r.string(data)
		case httpRequestURL:
			req.URL = r.string(data)
		case httpRequestHeaders:
			req.Headers = r.pairs(data, nil)
		case httpRequestTimeout:
			req.TimeoutMS = r.u32(data)
		case httpRequestBody:
			req.Body = r.bytes(data)
		default:
			req.Unknown = append(req.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*req = HTTPRequest{}
	}
	return r.err
}

// HTTPHead comes first on an outbound call's descriptor. Either Kind says why
// there is no answer, or Status and Headers are those of the answer and its
// body follows until end of file.
type HTTPHead struct {
	Status  uint32
	Headers Pairs // names in lower case
	Kind    Kind
	Message string // what went wrong, for the author; empty when Kind is None
	Unknown []Field
}

const (
	httpHeadStatus  = 1
	httpHeadHeaders = 2
	httpHeadKind    = 3
	httpHeadMessage = 4
)

// AppendHTTPHead appends h's frame to dst.
func AppendHTTPHead(dst []byte, h *HTTPHead) []byte {
	w := writeFrame(dst, frameHTTPHead, h.Unknown)
	w.u32(httpHeadStatus, h.Status)
	w.pairs(httpHeadHeaders, h.Headers)
	w.u32(httpHeadKind, uint32(h.Kind))
	w.str(httpHeadMessage, h.Message)
	return w.finish()
}

// Decode sets *h from the frame b and borrows b's bytes. On error *h is the
// zero HTTPHead.
func (h *HTTPHead) Decode(b []byte) error {
	*h = HTTPHead{}
	var r frameReader
	for typ, data := range r.fields(b, frameHTTPHead) {
		switch typ {
		case httpHeadStatus:
			h.Status = r.u32(data)
		case httpHeadHeaders:
			h.Headers = r.pairs(data, nil)
		case httpHeadKind:
			h.Kind = r.kind(data)
		case httpHeadMessage:
			h.Message = r.string(data)
		default:
			h.Unknown = append(h.Unknown, Field{typ, data})
		}
	}
	if r.err != nil {
		*h = HTTPHead{}
	}
	return r.err
}
