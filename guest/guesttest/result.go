package guesttest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Result is an answer: the function's, or the host's when there was none (502 for
// a function that failed, 504 for one that took too long).
type Result struct {
	Status    int
	Header    http.Header
	Body      string
	RequestID string

	host *host
}

// Decode reads the body as JSON into v and fails the test when it cannot.
func (r *Result) Decode(tb testing.TB, v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(r.Body), v); err != nil {
		tb.Fatalf("the answer is not the JSON that is wanted: %v\n%d %s", err, r.Status, r.Body)
	}
}

// Log is one line of the log about one request: what the function logged or
// printed, and what the host has to say about it, such as why it failed.
type Log struct {
	Level   slog.Level
	Message string
	Attrs   map[string]string // the function's own, of what it printed the stream (stdout or stderr), of its error the stack, "log" as the stream where it gave none; nil in a line of the host's
	Fields  map[string]any    // the host's: function, version, kind, error …
}

// String is the line as a person would read it.
func (l Log) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", l.Level, l.Message)
	for _, name := range slices.Sorted(maps.Keys(l.Attrs)) {
		fmt.Fprintf(&b, " %s=%q", name, l.Attrs[name])
	}
	for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
		if name != "function" && name != "version" {
			fmt.Fprintf(&b, " %s=%v", name, l.Fields[name])
		}
	}
	return b.String()
}

// Logs waits until the function has ended, which may be after its answer, and
// returns the log of the request in the order of writing, without its REPORT. The
// host writes secrets as their names. The test fails where there is nothing to
// wait for: the host refused the request itself, so that no function ran.
func (r *Result) Logs(tb testing.TB) []Log {
	tb.Helper()
	logs, _ := r.ended(tb)
	return logs
}

// Report waits as Logs does and returns the REPORT line, in Lambda's form.
func (r *Result) Report(tb testing.TB) string {
	tb.Helper()
	_, report := r.ended(tb)
	return report
}

// endWithin bounds how long a function may go on after its answer.
const endWithin = time.Minute

func (r *Result) ended(tb testing.TB) (logs []Log, report string) {
	tb.Helper()
	if r.refused() {
		tb.Fatalf("the host refused the request itself, so that no function ran: %d %s", r.Status, r.Body)
	}
	lines, ok := r.host.wait(r.RequestID, endWithin)
	if !ok {
		tb.Fatalf("request %s (status %d) has no REPORT line yet: the function runs on\n%s", r.RequestID, r.Status, r.host.printed())
	}
	for _, l := range lines {
		if l.isReport() {
			report = l.Message
		} else {
			logs = append(logs, l.Log)
		}
	}
	return logs, report
}

// refused reports whether the answer is the host's own to a request that it gave
// to no function: no route, a bad signature, too large.
func (r *Result) refused() bool {
	var answer struct {
		Error struct {
			Code      string `json:"code"`
			RequestID string `json:"request_id"`
		} `json:"error"`
	}
	if r.Status < 400 || r.Status > 499 || r.Status == http.StatusTooManyRequests || json.Unmarshal([]byte(r.Body), &answer) != nil {
		return false
	}
	return answer.Error.Code != "" && answer.Error.RequestID == r.RequestID
}

// line is one line of the host's log, which is JSON.
type line struct {
	Log
	requestID string
}

// isHosts reports whether the host said it: a function's lines have attributes.
func (l *line) isHosts() bool { return l.Attrs == nil }

func (l *line) isReport() bool {
	return l.isHosts() && l.requestID != "" && strings.HasPrefix(l.Message, "REPORT RequestId: "+l.requestID+"\tDuration: ")
}

// UnmarshalJSON sorts the fields of a record of log/slog's JSON handler.
func (l *line) UnmarshalJSON(data []byte) error {
	var known struct {
		Level     slog.Level
		Msg       string
		RequestID string            `json:"request_id"`
		Attrs     map[string]string `json:"attrs"`
	}
	var all map[string]any
	if err := json.Unmarshal(data, &known); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ any) bool {
		return name == "time" || name == "level" || name == "msg" || name == "request_id" || name == "attrs"
	})
	*l = line{Log{known.Level, known.Msg, known.Attrs, all}, known.RequestID}
	return nil
}
