package sandbox

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"spore/abi"
)

const (
	maxLogBytes  = 64 << 10 // per event; the rest is counted and dropped
	maxLineBytes = 8 << 10
	recordBytes  = 64       // what a record costs beside its text: the host adds time, level and request id
	attrBytes    = 6        // what an attribute does: quotes, colon and comma
	maxTailBytes = 64 << 10 // of stderr kept to find its last message in
	maxSaidBytes = 2 << 10
)

// output turns what a guest writes to its standard streams into log lines, and
// bounds all it logs.
type output struct {
	streams [2]bytes.Buffer // unfinished lines of stdout and stderr
	last    []byte          // the end of stderr, for error messages
	used    int
	dropped int
}

var streamNames = [2]string{"stdout", "stderr"}

// write takes p as written to stream 0 (stdout) or 1 (stderr). What is too long for
// a line goes on in the next one, with a whole character.
func (o *output) write(r *run, stream int, p []byte) {
	if stream == 1 {
		o.last = append(o.last, p...)
		o.last = o.last[max(0, len(o.last)-maxTailBytes):]
	}
	buf := &o.streams[stream]
	for len(p) > 0 {
		room := p[:min(len(p), maxLineBytes-buf.Len())]
		line, _, ended := bytes.Cut(room, []byte("\n"))
		buf.Write(line)
		if !ended && buf.Len() < maxLineBytes {
			return
		}
		p = p[len(line):]
		var next string
		if ended {
			p = p[1:]
		} else {
			next = begun(buf.Bytes())
			buf.Truncate(buf.Len() - len(next))
		}
		o.line(r, stream)
		buf.WriteString(next)
	}
}

// begun is the first part of a character in UTF-8 with which b ends, if it does.
func begun(b []byte) string {
	for n := 1; n < min(utf8.UTFMax, len(b)); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return ""
			}
			return string(tail)
		}
	}
	return ""
}

func (o *output) line(r *run, stream int) {
	text := o.streams[stream].String()
	o.streams[stream].Reset()
	if text != "" {
		o.record(r, abi.LogRecord{Message: text, Attrs: abi.Pairs{{Name: "stream", Value: streamNames[stream]}}})
	}
}

// record logs rec when the run's budget allows.
func (o *output) record(r *run, rec abi.LogRecord) {
	size := LogSize(&rec)
	if o.used+size > maxLogBytes {
		o.dropped++
		return
	}
	o.used += size
	r.can.log(r.requestID(), rec)
}

// reported logs the stack of an error that the guest reports, behind what it has printed, and
// leaves in e what the host's own line about it may say: whatever a guest says counts
// where it is bounded.
func (o *output) reported(r *run, e *abi.Error) {
	o.line(r, 0)
	o.line(r, 1)
	if e.Stack != "" {
		rec := abi.LogRecord{Level: 8, Message: "stack of the error", Attrs: abi.Pairs{{Name: "stack", Value: e.Stack}}}
		for o.used+LogSize(&rec) > maxLogBytes && rec.Attrs[0].Value != "" {
			rec.Attrs[0].Value = rec.Attrs[0].Value[:len(rec.Attrs[0].Value)/2] // the beginning says most
		}
		o.record(r, rec)
	}
	e.Type, e.Message, e.Stack = clip(e.Type), clip(e.Message), ""
}

// clip is the beginning of text, as long as one line of the host's may quote a guest.
func clip(text string) string { return text[:min(len(text), maxSaidBytes)] }

// LogSize is the bytes that a record counts where a budget bounds what is logged: what it
// takes there, or a quarter of it at least.
func LogSize(rec *abi.LogRecord) int {
	size := recordBytes + written(rec.Message)
	for _, a := range rec.Attrs {
		size += attrBytes + written(a.Name) + written(a.Value)
	}
	return size
}

// written is the length of text as a log has it, where a quote takes two bytes and what
// is no character to print up to six.
func written(text string) int {
	size := len(text)
	for _, c := range text {
		switch {
		case c == '"', c == '\\', c == '\t', c == '\n', c == '\r':
			size++
		case c < ' ', 0x7f <= c && c < 0xa0, c == utf8.RuneError:
			size += 5
		}
	}
	return size
}

// flush logs unfinished lines and says what was dropped.
func (o *output) flush(r *run) {
	o.line(r, 0)
	o.line(r, 1)
	if o.dropped > 0 {
		r.can.log(r.requestID(), abi.LogRecord{Level: 4, Message: "log truncated: over 64 KiB in one event",
			Attrs: abi.Pairs{{Name: "dropped", Value: strconv.Itoa(o.dropped)}}})
	}
	o.used, o.dropped = 0, 0
}

// tail returns what a guest that ended said about it on stderr: the message of a
// Go panic or fatal error without the goroutine dump behind it, or else the end.
func (o *output) tail() string {
	said := string(o.last)
	for _, mark := range []string{"panic: ", "fatal error: "} {
		if i := strings.Index(said, mark); i >= 0 {
			said = said[i:]
		}
	}
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n\n")
	return said[max(0, len(said)-maxSaidBytes):]
}

func (r *run) requestID() string {
	if r.ev == nil {
		return ""
	}
	return r.ev.RequestID
}
