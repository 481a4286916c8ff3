package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// readSamples reads the events spec is warmed up with, each as spore invoke would
// send it, and the recordings beside them.
func readSamples(spec *function.Spec) ([]sandbox.Sample, error) {
	var samples []sandbox.Sample
	for _, path := range spec.Warmup {
		req, err := newRequest(nil, spec, invokeOptions{event: path, hostURL: "http://localhost", local: true})
		if err != nil {
			return nil, fmt.Errorf("read sample %s: %w", path, err)
		}
		s := sandbox.Sample{Name: path, Recording: recordingOf(path)}
		if s.Event, err = eventOf(req); err != nil {
			return nil, fmt.Errorf("read sample %s: %w", path, err)
		}
		if s.Calls, err = readRecording(s.Recording); err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// recordingOf is where the outbound calls of a sample are recorded:
// events/a.recording.json for events/a.json.
func recordingOf(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".recording.json"
}

// recorded is one call as a recording has it.
type recorded struct {
	Method     string            `json:"method"` // empty means GET
	URL        string            `json:"url"`
	Status     uint32            `json:"status"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
	BodyBase64 []byte            `json:"body_base64,omitempty"` // for what is no text
}

// maxRecording bounds a recording's file: two of the largest bodies, in base64.
const maxRecording = 4 * abi.MaxBody

// readRecording reads the recording at path. Without a file there are no calls.
func readRecording(path string) ([]sandbox.Call, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecording+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRecording {
		return nil, fmt.Errorf("%s: over the limit of %d bytes", path, maxRecording)
	}
	return parseRecording(path, data)
}

func parseRecording(path string, data []byte) ([]sandbox.Call, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var list []recorded
	err := dec.Decode(&list)
	if err == nil && len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		err = errors.New("something follows the list")
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, lineOf(data, dec, err), err)
	}
	calls := make([]sandbox.Call, len(list))
	for i := range list {
		if calls[i], err = list[i].call(); err != nil {
			return nil, fmt.Errorf("%s: call %d: %w", path, i+1, err)
		}
	}
	return calls, nil
}

// lineOf is the line a decoding error is on, as near as the decoder tells.
func lineOf(data []byte, dec *json.Decoder, err error) int {
	offset := dec.InputOffset()
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &mismatch):
		offset = mismatch.Offset
	}
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

func (r *recorded) call() (sandbox.Call, error) {
	c := sandbox.Call{Method: r.Method, URL: r.URL, Status: r.Status, Body: r.BodyBase64}
	if c.Method == "" {
		c.Method = "GET"
	}
	if r.Body != "" {
		c.Body = []byte(r.Body)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		c.Headers = append(c.Headers, abi.Pair{Name: strings.ToLower(name), Value: r.Headers[name]})
	}
	switch {
	case c.URL == "":
		return c, errors.New("has no url")
	case c.Status < 100 || c.Status > 599:
		return c, fmt.Errorf("status is %d; use the answer's, 100 to 599", c.Status)
	case r.Body != "" && r.BodyBase64 != nil:
		return c, errors.New("has body and body_base64; keep one")
	case len(c.Body) > abi.MaxBody:
		return c, fmt.Errorf("the body is over the limit of %d bytes", abi.MaxBody)
	}
	return c, nil
}
