package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"spore/abi"
)

// recorder keeps the outbound calls of one local run, for samples to be answered
// from. A nil recorder keeps none.
type recorder struct {
	mu         sync.Mutex
	calls      []*recorded // in the order they were made
	unanswered []string    // why calls have no answer
}

type httpFunc = func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser)

// listen returns do, which is recorded from here on. Of the answer's headers only those
// are that say what the body is: others may identify whoever made the recording.
func (r *recorder) listen(do httpFunc) httpFunc {
	if r == nil {
		return do
	}
	return func(ctx context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		c := &recorded{Method: cmp.Or(req.Method, "GET"), URL: req.URL}
		r.mu.Lock()
		r.calls = append(r.calls, c)
		r.mu.Unlock()
		head, body := do(ctx, req)
		if head.Status == 0 {
			r.mu.Lock()
			r.unanswered = append(r.unanswered, head.Message)
			r.mu.Unlock()
		}
		c.Status = head.Status
		c.Headers = map[string]string{}
		for _, name := range []string{"content-type", "content-encoding"} {
			if value := head.Headers.Get(name); value != "" {
				c.Headers[name] = value
			}
		}
		return head, &tape{body, c}
	}
}

// tape records a body while it is read.
type tape struct {
	io.ReadCloser
	call *recorded
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.call.BodyBase64 = append(t.call.BodyBase64, p[:n]...)
	return n, err
}

// save writes the calls that were answered. When none of them was, as without a network,
// the recording that may be there is the better one. The run must have ended.
func (r *recorder) save(path string) error {
	list := []*recorded{}
	for _, c := range r.calls {
		if c.Status == 0 {
			continue
		}
		if utf8.Valid(c.BodyBase64) {
			c.Body, c.BodyBase64 = string(c.BodyBase64), nil
		}
		list = append(list, c)
	}
	if len(list) == 0 && len(r.unanswered) > 0 {
		return fmt.Errorf("no call was answered, so %s is left as it is: %s", path, strings.Join(r.unanswered, "; "))
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'), 0o600) // answers may hold secrets
}
