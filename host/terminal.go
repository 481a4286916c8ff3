package main

// How spore talks to people: colour, tables and progress on a terminal, plain
// text in a pipe. Results go to standard output, everything else to standard
// error. NO_COLOR is honoured.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lmittmann/tint"

	"spore/host/telemetry"
)

// isTerminal reports whether w shows what is written to a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// canWipe reports whether w is a terminal that can be steered.
func canWipe(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("TERM") != "dumb"
}

func wantsColour(w io.Writer) bool {
	return canWipe(w) && os.Getenv("NO_COLOR") == ""
}

// logHandler returns the maker of slog handlers for out in the given form:
// "text", "json", or "auto", which is text on a terminal and JSON elsewhere.
func logHandler(form string, out io.Writer) func(io.Writer) slog.Handler {
	if form == "auto" && isTerminal(out) {
		form = "text"
	}
	if form == "text" {
		opt := &tint.Options{TimeFormat: "15:04:05.000", NoColor: !wantsColour(out)}
		text := func(w io.Writer) slog.Handler { return tint.NewTextHandler(w, opt) }
		return func(w io.Writer) slog.Handler { return stackHandler{text(w), text, w} }
	}
	return func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }
}

// newLogger returns the log to out in the given form, the writer to run, and the
// redactor to tell secrets to. On a terminal each write wipes the line of progress
// that may stand there.
func newLogger(form string, out io.Writer) (*slog.Logger, *telemetry.Writer, *redactor) {
	handler := logHandler(form, out)
	if canWipe(out) {
		out = wiping{out}
	}
	redact := &redactor{out: steerless{out}}
	log, writer := telemetry.NewLogger(redact, handler)
	return log, writer, redact
}

// stackHandler shows the stack that a function gave with a record on lines of its own
// behind it. Each begins with a bar, as no line of the log does, and is written with the
// record, so that it passes neither for the host's words nor for another function's.
type stackHandler struct {
	slog.Handler
	text func(io.Writer) slog.Handler
	out  io.Writer
}

func (h stackHandler) Handle(ctx context.Context, rec slog.Record) error {
	rec, stack := withoutStack(rec)
	if stack == "" {
		return h.Handler.Handle(ctx, rec)
	}
	var b bytes.Buffer
	if err := h.text(&b).Handle(ctx, rec); err != nil {
		return err
	}
	for line := range strings.SplitSeq(strings.TrimRight(stack, "\n"), "\n") {
		b.WriteString("| " + visible(line) + "\n")
	}
	_, err := h.out.Write(b.Bytes())
	return err
}

// withoutStack takes out of a record what is several lines called stack among a function's
// attributes. The attribute stays: by those its records are told from the host's.
func withoutStack(rec slog.Record) (short slog.Record, stack string) {
	short = slog.NewRecord(rec.Time, rec.Level, rec.Message, rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "attrs" && a.Value.Kind() == slog.KindGroup {
			own := slices.Clone(a.Value.Group())
			i := slices.IndexFunc(own, func(a slog.Attr) bool {
				return a.Key == "stack" && strings.Contains(a.Value.String(), "\n")
			})
			if i >= 0 {
				stack = own[i].Value.String()
				own[i].Value = slog.StringValue("below")
			}
			a.Value = slog.GroupValue(own...)
		}
		short.AddAttrs(a)
		return true
	})
	return short, stack
}

// steerless is an output on which no terminal is steered by what ASCII's control
// characters are not needed for: it spells out those beyond ASCII, and those that
// turn the direction of writing, in the way of JSON, where they stand in strings.
type steerless struct{ io.Writer }

func (s steerless) Write(lines []byte) (int, error) {
	steers := func(r rune) bool {
		return r >= 0x7f && (unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp))
	}
	if !bytes.ContainsFunc(lines, steers) {
		return s.Writer.Write(lines)
	}
	var b bytes.Buffer
	for _, r := range string(lines) {
		if steers(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	if _, err := s.Writer.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// complain says what went wrong, which may quote a guest or a file.
func complain(out io.Writer, err error) {
	_ = printVisible(out, "spore: "+err.Error())
}

// printVisible prints a text whose lines show what would steer a terminal.
func printVisible(out io.Writer, text string) error {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = visible(strings.TrimSuffix(lines[i], "\r"))
	}
	_, err := fmt.Fprintln(steerless{out}, strings.Join(lines, "\n"))
	return err
}

type wiping struct{ io.Writer }

func (w wiping) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, wipe); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// wipe clears a line. It clears no second one, so what is to be wiped must not be
// continued there: oneLine cuts it off at the terminal's edge instead.
const (
	wipe    = "\r\x1b[K"
	oneLine = "\x1b[?7l%s\x1b[?7h"
)

// progress shows on a terminal that something slow is going on. It begins after
// half a second and is wiped by stop, which must be called once.
func progress(w io.Writer, what string) (stop func()) {
	if !canWipe(w) {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		spin(w, what, quit)
	}()
	return func() {
		close(quit)
		<-done
	}
}

func spin(w io.Writer, what string, quit <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(w, wipe+oneLine, what+" … "+seconds(time.Since(start)))
		case <-quit:
			fmt.Fprint(w, wipe)
			return
		}
	}
}
