package web

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/valyala/fasthttp"

	"spore/abi"
	"spore/host/function"
)

// refusal is an answer of the host's own. Code is for programs, the message for
// people; neither tells anything about the inside.
type refusal struct {
	status  int
	code    string
	message string
}

var (
	notFound         = refusal{fasthttp.StatusNotFound, "not_found", "there is no such route"}
	methodNotAllowed = refusal{fasthttp.StatusMethodNotAllowed, "method_not_allowed", "use a method from the allow header"}
	internalError    = refusal{fasthttp.StatusInternalServerError, "internal", "something went wrong in the host; its log has the request id"}
	badResponse      = refusal{fasthttp.StatusBadGateway, "bad_guest_response", "the function's answer cannot be sent; the host's log says why"}
	shuttingDown     = refusal{fasthttp.StatusServiceUnavailable, "overloaded", "the host is shutting down; try again"}
	malformed        = refusal{fasthttp.StatusBadRequest, "invalid", "the request is not valid HTTP/1.1"}
	slowRequest      = refusal{fasthttp.StatusRequestTimeout, "deadline", "the request did not arrive in time"}
	longHeader       = refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "too_large", "the request line and the headers may take 16 KiB"}
	noBodyMemory     = refusal{fasthttp.StatusServiceUnavailable, "overloaded", "the host is at its limit for request bodies; try again"}
	longBody         = refusal{fasthttp.StatusRequestEntityTooLarge, "too_large", "a request body may take 6 MiB"}
)

// refusalOf is the one place that maps kinds to HTTP.
func refusalOf(err error) refusal {
	kind := function.KindOf(err)
	with := func(status int, message string) refusal { return refusal{status, kind.String(), message} }
	switch kind {
	case abi.NotFound:
		return with(fasthttp.StatusNotFound, "there is no such function")
	case abi.Denied:
		return with(fasthttp.StatusForbidden, "this is not allowed")
	case abi.Overloaded:
		if own := new(function.ConcurrencyError); errors.As(err, &own) {
			return with(fasthttp.StatusTooManyRequests, "the function is at its limit; try again")
		}
		return with(fasthttp.StatusServiceUnavailable, "the host is at its limit; try again")
	case abi.NotReady:
		return with(fasthttp.StatusServiceUnavailable, "the function is not ready; try again")
	case abi.Deadline:
		return with(fasthttp.StatusGatewayTimeout, "the function did not answer in time")
	case abi.Trapped, abi.Exited, abi.OutOfMemory, abi.NoAnswer, abi.OutOfOrder, abi.GuestError, abi.Invalid, abi.Unavailable, abi.TooLarge:
		return with(fasthttp.StatusBadGateway, "the function failed; its log has the request id")
	}
	return internalError
}

// refuse writes r with the request id that the answer carries already.
func refuse(ctx *fasthttp.RequestCtx, r refusal) {
	var body struct {
		Error struct {
			Code      string `json:"code"`
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = r.code, r.message
	body.Error.RequestID = string(ctx.Response.Header.Peek(requestIDHeader))
	text, err := json.Marshal(body)
	if err != nil {
		panic("web: internal error: " + err.Error())
	}
	ctx.SetStatusCode(r.status)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(text, '\n'))
	if r.status == fasthttp.StatusTooManyRequests || r.status == fasthttp.StatusServiceUnavailable {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
}

// refuseRoute answers a path without a route for the method; allowed has the methods that
// it has routes for.
func refuseRoute(ctx *fasthttp.RequestCtx, allowed []string) {
	if len(allowed) == 0 {
		refuse(ctx, notFound)
		return
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(allowed, ", "))
	refuse(ctx, methodNotAllowed)
}

// refuseUnreadable answers what could not be read as a request. fasthttp closes
// the connection afterwards.
func (s *Server) refuseUnreadable(ctx *fasthttp.RequestCtx, err error) {
	ctx.Response.Header.Set(requestIDHeader, NewRequestID())
	ctx.Conn().(*conn).linger.Store(true)
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		refuse(ctx, longHeader)
	case errors.Is(err, os.ErrDeadlineExceeded):
		refuse(ctx, slowRequest)
	default:
		refuse(ctx, malformed)
	}
}
