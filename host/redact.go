package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"spore/host/function"
)

// redactor is the output that log lines pass on their way out: it writes a
// secret's name for its value, as it is and as a program would put it into a
// header, a URL or a dump. It helps against accidents. A function that wants to
// tell a secret it was given can.
type redactor struct {
	out io.Writer

	mu     sync.Mutex
	known  map[string]bool // values
	marks  []mark          // the longest first: one secret may begin with another
	values *strings.Replacer
}

// mark is what to look for, and what to write instead.
type mark struct{ form, instead string }

// minRedacted is the shortest value that is looked for: shorter ones stand in
// ordinary words.
const minRedacted = 8

// add makes the redactor look for a secret that is handed out.
func (r *redactor) add(name string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(value) < minRedacted || r.known[string(value)] {
		return
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[string(value)] = true
	instead := "[secret " + name + "]"
	for _, form := range forms(string(value)) {
		r.marks = append(r.marks, mark{form, instead})
	}
	for line := range strings.Lines(string(value)) { // a key in PEM is printed line by line
		if line = strings.TrimSpace(line); len(line) >= minRedacted {
			r.marks = append(r.marks, mark{line, instead})
		}
	}
	slices.SortStableFunc(r.marks, func(a, b mark) int { return cmp.Compare(len(b.form), len(a.form)) })
	var pairs []string
	for _, m := range r.marks {
		pairs = append(pairs, m.form, m.instead)
	}
	r.values = strings.NewReplacer(pairs...)
}

// forms are the ways in which a value may be in a log line.
func forms(value string) []string {
	list := []string{
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		url.QueryEscape(value), url.PathEscape(value),
	}
	for before := range 3 {
		list = append(list, inBase64(base64.StdEncoding, before, value), inBase64(base64.URLEncoding, before, value))
	}
	shown := quoted(value) // as guestLog shows control characters
	return append(list, value, inJSON(value), shown, inJSON(shown))
}

// inBase64 is what value looks like behind so many bytes, or a multiple of three more, as
// the password in Basic authentication is: the digits that neither those nor what
// follows have a share in.
func inBase64(e *base64.Encoding, before int, value string) string {
	digits := e.EncodeToString(append(make([]byte, before), value...))
	const perDigit = 6 // bits
	return digits[(8*before+perDigit-1)/perDigit : 8*(before+len(value))/perDigit]
}

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// inJSON is s as slog's JSON handler writes it.
func inJSON(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be encoded
	q := strings.TrimSuffix(b.String(), "\n")
	return q[1 : len(q)-1]
}

// Write takes whole lines, and writes them at once: what comes behind may do something
// before each write.
func (r *redactor) Write(lines []byte) (int, error) {
	values := r.replacer()
	if values == nil {
		return r.out.Write(lines)
	}
	if _, err := io.WriteString(r.out, values.Replace(string(lines))); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// hide returns err as it may be printed beside the log: of its kind, and with the names of
// secrets for their values.
func (r *redactor) hide(err error) error {
	values := r.replacer()
	if err == nil || values == nil {
		return err
	}
	return &function.Error{Kind: function.KindOf(err), Err: errors.New(values.Replace(err.Error()))}
}

// replacer is nil while no secret was handed out.
func (r *redactor) replacer() *strings.Replacer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values
}
