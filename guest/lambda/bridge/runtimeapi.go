package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"spore/abi"
	"spore/guest"
	"spore/guest/lambda/internal/invocation"
)

const invocations = "/2018-06-01/runtime/invocation/"

// runtimeAPI hands events to lambda.Start's loop, one at a time: the loop asks
// for the next event, answers it, and asks again, which completes the event.
type runtimeAPI struct {
	start   func(guest.Handler) // guest.Start; nil once it was called
	events  chan event
	answers chan answer
	idle    chan struct{} // gets one when the loop asks again
}

type event struct {
	guest.Event
	payload []byte
}

type answer struct {
	body []byte
	err  error
}

func newRuntimeAPI(start func(guest.Handler)) *runtimeAPI {
	return &runtimeAPI{start: start, events: make(chan event), answers: make(chan answer), idle: make(chan struct{}, 1)}
}

// serve answers the requests on conn until the client closes it. With net/http's
// server an event took 0.3 ms longer and changed 30 pages more, and the first one
// made the memory grow.
func (a *runtimeAPI) serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		res := a.answer(req, body)
		res.ProtoMajor, res.ProtoMinor, res.Request = 1, 1, req
		if res.Write(out) != nil || out.Flush() != nil {
			return
		}
	}
}

func (a *runtimeAPI) answer(req *http.Request, body []byte) *http.Response {
	path, known := strings.CutPrefix(req.URL.Path, invocations)
	switch {
	case known && path == "next":
		return a.next()
	case known && strings.HasSuffix(path, "/response"):
		a.answers <- answer{body, brokenOff(req.Trailer)}
	case known && strings.HasSuffix(path, "/error"):
		a.answers <- answer{err: readFailure(body)}
	default: // the API for extensions, and what may come
		return response(http.StatusNotFound, []byte(`{"errorMessage":"not served here","errorType":"NotFound"}`))
	}
	return response(http.StatusAccepted, []byte(`{"status":"OK"}`))
}

// next waits for an event. The first call is the end of initialisation: the
// program is frozen with its loop waiting here.
func (a *runtimeAPI) next() *http.Response {
	if start := a.start; start != nil {
		a.start = nil
		go start(a.handle)
	} else {
		select {
		case a.idle <- struct{}{}:
		default: // nobody looks for it
		}
	}
	ev := <-a.events
	res := response(http.StatusOK, ev.payload)
	res.Header.Set("Lambda-Runtime-Aws-Request-Id", ev.RequestID)
	res.Header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline(ev.Event), 10))
	res.Header.Set("Lambda-Runtime-Invoked-Function-Arn", invocation.ARN(ev.Event))
	if id := invocation.TraceID(ev.Event); id != "" {
		res.Header.Set("Lambda-Runtime-Trace-Id", id)
	}
	return res
}

func response(status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
	}
}

// deadline is in Unix milliseconds. The Runtime API always has one.
func deadline(ev guest.Event) int64 {
	if ev.DeadlineMS == 0 {
		return time.Now().Add(15 * time.Minute).UnixMilli() // Lambda's longest
	}
	return ev.DeadlineMS
}

// brokenOff returns the error of an answer that could not be read to its end.
func brokenOff(trailer http.Header) error {
	report := trailer.Get("Lambda-Runtime-Function-Error-Body")
	if report == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(report)
	if err != nil {
		return fmt.Errorf("bridge: decode the error of an answer: %w", err)
	}
	return readFailure(b)
}

func readFailure(b []byte) error {
	f := new(invocation.Failure)
	if err := json.Unmarshal(b, &f.Report); err != nil {
		return fmt.Errorf("bridge: read the function's error: %w", err)
	}
	return f
}

// handle answers one event. The loop is not waited for, because the sandbox ends
// with the answer; after a panic it would exit anyway. But the snapshot should have
// it where the next event is taken.
func (a *runtimeAPI) handle(_ context.Context, ev guest.Event) (guest.Result, error) {
	invocation.Describe(ev)
	payload, err := invocation.Payload(ev)
	if err != nil {
		return guest.Result{}, err
	}
	a.events <- event{ev, payload}
	got := <-a.answers
	if got.err != nil {
		return guest.Result{}, got.err
	}
	if ev.Trigger == abi.TriggerWarmup {
		<-a.idle
	}
	return invocation.Result(ev, got.body)
}
