package web

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"spore/abi"
	"spore/host/function"
)

// Bounds of what a function may put into the head of an answer. Proxies take
// less than we could write.
const (
	maxResponseHeaders = 128
	maxResponseHead    = 64 << 10 // bytes of names and values
)

// writeResult copies a function's answer to resp, or changes nothing and says
// what is wrong with it. No byte of a bad answer reaches the wire, where it
// could pass for an answer of its own.
func writeResult(resp *fasthttp.Response, res *abi.Result) error {
	if err := checkResult(res); err != nil {
		return &function.Error{Kind: abi.Invalid, Op: "check the function's answer", Err: err}
	}
	status := int(res.Status)
	if status == 0 {
		status = fasthttp.StatusOK
	}
	resp.SetStatusCode(status)
	for i := range res.Headers {
		name, value := res.Headers[i].Name, res.Headers[i].Value
		switch {
		case isOurs(name):
		case strings.EqualFold(name, fasthttp.HeaderContentEncoding): // fasthttp keeps one
			if before := resp.Header.ContentEncoding(); len(before) > 0 {
				value = string(before) + ", " + value // means the same, RFC 9110 section 5.3
			}
			resp.Header.SetContentEncoding(value)
		default:
			resp.Header.Add(name, value)
		}
	}
	if res.ContentType != "" {
		resp.Header.SetContentType(res.ContentType)
	}
	switch {
	case !hasBody(status):
	case len(res.Body) > function.LongBody:
		resp.SetBodyRaw(res.Body)
	default:
		resp.SetBody(res.Body)
	}
	return nil
}

// Sent returns what of a function's answer a listener sends, or why it sends none. It is
// for those who are given an answer without one, and nothing of it lies in res.
func Sent(res *abi.Result) (status int, header http.Header, body []byte, err error) {
	var resp fasthttp.Response
	resp.Header.SetNoDefaultContentType(true)
	if err := writeResult(&resp, res); err != nil {
		return 0, nil, nil, err
	}
	header = http.Header{}
	for name, value := range resp.Header.All() {
		header.Add(string(name), string(value))
	}
	return resp.StatusCode(), header, bytes.Clone(resp.Body()), nil
}

// hasBody reports whether an answer of that status may have one, RFC 9110
// sections 15.3.5, 15.3.6 and 15.4.5.
func hasBody(status int) bool {
	switch status {
	case fasthttp.StatusNoContent, fasthttp.StatusResetContent, fasthttp.StatusNotModified:
		return false
	}
	return true
}

func checkResult(res *abi.Result) error {
	size := len(res.ContentType)
	for i := range res.Headers {
		size += len(res.Headers[i].Name) + len(res.Headers[i].Value)
	}
	switch {
	case res.Status != 0 && (res.Status < 200 || res.Status > 599):
		return errors.New("status is not between 200 and 599")
	case len(res.Headers) > maxResponseHeaders:
		return errors.New("more than 128 headers")
	case size > maxResponseHead:
		return errors.New("more than 64 KiB of headers")
	case len(res.Body) > abi.MaxBody:
		return errors.New("body over 6 MiB")
	case !function.IsFieldValue(res.ContentType):
		return errors.New("content type holds a control character")
	}
	for i := range res.Headers {
		switch {
		case !function.IsToken(res.Headers[i].Name):
			return errors.New("header name is not a token")
		case !function.IsFieldValue(res.Headers[i].Value):
			return errors.New("header " + res.Headers[i].Name + " holds a control character")
		}
	}
	return nil
}

// isOurs reports whether a header frames the message, belongs to the connection
// or is the host's to set. What a function says there is dropped.
func isOurs(name string) bool {
	switch name := strings.ToLower(name); name {
	case "connection", "content-length", "transfer-encoding", "date", "server", "keep-alive",
		"upgrade", "trailer", "te", requestIDHeader:
		return true
	default:
		return strings.HasPrefix(name, "proxy-")
	}
}
