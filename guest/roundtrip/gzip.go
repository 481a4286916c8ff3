package roundtrip

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// asksForGzip reports whether req leaves it to its transport how an answer is
// packed. The one of net/http then asks for gzip and unpacks it, and programs rely
// on that with servers that send gzip to everybody.
func asksForGzip(req *http.Request) bool {
	return req.Header.Get("Accept-Encoding") == "" && req.Header.Get("Range") == "" && req.Method != http.MethodHead
}

// unpack makes res what it was before it was packed.
func unpack(res *http.Response) {
	if !strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		return
	}
	res.Header.Del("Content-Encoding")
	res.Header.Del("Content-Length")
	res.ContentLength = -1
	res.Uncompressed = true
	res.Body = &unpacked{packed: res.Body}
}

// unpacked is the body of an answer that came as gzip.
type unpacked struct {
	packed io.ReadCloser
	plain  *gzip.Reader // made by the first Read, because it waits for bytes
	err    error
	closed bool
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.closed {
		return u.packed.Read(p) // an error; plain may still have bytes
	}
	if u.plain == nil && u.err == nil {
		u.plain, u.err = gzip.NewReader(u.packed)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.plain.Read(p)
}

func (u *unpacked) Close() error {
	u.closed = true
	return u.packed.Close()
}
