package web

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"spore/abi"
)

// fillEvent sets ev from a request, without what the Invoker knows: function,
// version and deadlines. Its strings lie in ctx, except the request id; its lists
// are overwritten.
func fillEvent(ev *abi.Event, ctx *fasthttp.RequestCtx, r *route, body []byte) {
	h, uri := &ctx.Request.Header, ctx.Request.URI()
	ev.RequestID = string(ctx.Response.Header.Peek(requestIDHeader))
	ev.Trigger = abi.TriggerHTTP
	ev.ContentType = borrow(h.ContentType())
	ev.Headers = appendHeaders(ev.Headers[:0], h)
	ev.TraceID = traceID(ev.Headers)
	ev.Method = borrow(h.Method())
	ev.Path = borrow(uri.PathOriginal())
	ev.RawQuery = borrow(uri.QueryString())
	ev.Params = r.path.AppendParams(ev.Params[:0], borrow(uri.Path()))
	ev.ClientAddr = ctx.Conn().(*conn).peerAddr()
	ev.Body = body
	ev.BodySize = uint32(len(body))
}

// appendHeaders takes the headers as they came in. Names are put into lower
// case where they stand: fasthttp keeps the raw block for this iterator alone.
func appendHeaders(dst abi.Pairs, h *fasthttp.RequestHeader) abi.Pairs {
	for name, value := range h.AllInOrder() {
		toLower(name)
		dst = append(dst, abi.Pair{Name: borrow(name), Value: borrow(value)})
	}
	return dst
}

func toLower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

func traceID(headers abi.Pairs) string {
	if id := headers.Get("traceparent"); id != "" {
		return id
	}
	return headers.Get("x-amzn-trace-id")
}

// isForm reports whether the body is an HTML form's.
func isForm(h *fasthttp.RequestHeader) bool {
	mediaType, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	return bytes.EqualFold(bytes.TrimSpace(mediaType), []byte("application/x-www-form-urlencoded"))
}
