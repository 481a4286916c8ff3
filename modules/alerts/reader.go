package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 64 << 10

// problem is one thing that is wrong with a request, and where.
type problem struct {
	Path    string   `json:"path"`
	Problem string   `json:"problem"`
	Allowed []string `json:"allowed,omitempty"`
}

// badJSON is a body that is no JSON object. at counts the bytes that had been
// read when that was noticed.
type badJSON struct {
	at     int64
	reason string
}

// parseObject decodes body, which must be one JSON object in UTF-8.
func parseObject(body []byte) (map[string]any, *badJSON) {
	if at := invalidUTF8(body); at >= 0 {
		return nil, &badJSON{at, "not UTF-8"}
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, &badJSON{offset(err), err.Error()}
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, &badJSON{0, "the body must be a JSON object"}
	}
	return fields, nil
}

func offset(err error) int64 {
	var syntax *json.SyntaxError
	var number *json.UnmarshalTypeError // a number beyond float64
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset
	case errors.As(err, &number):
		return number.Offset
	}
	return 0
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int64 {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return int64(i)
		}
		i += size
	}
	return -1
}

// reader collects every problem of a request, so that its author sees all of
// them at once. Its methods report what they dislike and return a zero value.
// It walks decoded JSON because encoding/json stops at the first mistake and
// knows no paths.
type reader struct{ problems []problem }

func (r *reader) report(path, text string, allowed ...string) {
	r.problems = append(r.problems, problem{path, text, allowed})
}

// object is a JSON object at a path.
type object struct {
	*reader
	path   string
	fields map[string]any
}

// object checks that v is an object which has no other fields than known.
func (r *reader) object(path string, v any, known ...string) object {
	fields, ok := v.(map[string]any)
	if !ok {
		r.report(path, "must be an object")
	}
	o := object{r, path, fields}
	var unknown []string
	for name := range fields {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		r.report(o.at(name), "unknown field", known...)
	}
	return o
}

// at returns the path of a field. A name that would not read well in a path is quoted.
func (o object) at(name string) string {
	const longest = 64
	if len(name) > longest {
		name = name[:longest] + "..."
	}
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || name == "" {
		name = quoted
	}
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// has reports whether the field is there. JSON's null counts as there, and is
// then refused as a wrong type: a null is no way to leave something out.
func (o object) has(name string) bool {
	_, ok := o.fields[name]
	return ok
}

// need reports a missing field of an object that is one.
func (o object) need(name string) bool {
	if o.fields != nil && !o.has(name) {
		o.report(o.at(name), "missing")
	}
	return o.has(name)
}

// text returns a string of least to most characters.
func (o object) text(name string, least, most int) string {
	if !o.has(name) {
		return ""
	}
	s, ok := o.fields[name].(string)
	if n := utf8.RuneCountInString(s); !ok || n < least || n > most {
		o.report(o.at(name), fmt.Sprintf("must be a string of %d to %d characters", least, most))
		return ""
	}
	return s
}

// number returns a number from low to high.
func (o object) number(name string, low, high float64) float64 {
	return o.numberAt(o.at(name), o.fields[name], low, high)
}

func (r *reader) numberAt(path string, v any, low, high float64) float64 {
	x, ok := v.(float64)
	if !ok || x < low || x > high {
		r.report(path, fmt.Sprintf("must be a number from %v to %v", low, high))
		return 0
	}
	return x
}

// integer returns a whole number from low to high.
func (o object) integer(name string, low, high int) int {
	x, ok := o.fields[name].(float64)
	if !ok || x != math.Trunc(x) || x < float64(low) || x > float64(high) {
		o.report(o.at(name), fmt.Sprintf("must be a whole number from %d to %d", low, high))
		return 0
	}
	return int(x)
}

// list returns a list of least to most entries.
func (o object) list(name string, least, most int) []any {
	if !o.need(name) {
		return nil
	}
	l, ok := o.fields[name].([]any)
	if !ok || len(l) < least || len(l) > most {
		o.report(o.at(name), fmt.Sprintf("must be a list of %d to %d entries", least, most))
	}
	return l // even if too long, so that what is wrong inside is reported too
}

// choice returns a required string that is one of allowed; what names the thing.
func (o object) choice(name, what string, allowed []string) string {
	if !o.need(name) {
		return ""
	}
	return o.choose(o.at(name), what, o.fields[name], allowed)
}

// choices returns a required list of different strings, each one of allowed.
func (o object) choices(name, what string, allowed []string) []string {
	var values []string
	for i, v := range o.list(name, 1, len(allowed)) {
		path := fmt.Sprintf("%s[%d]", o.at(name), i)
		s := o.choose(path, what, v, allowed)
		if slices.Contains(values, s) {
			o.report(path, what+" given twice")
		}
		values = append(values, s)
	}
	return values
}

func (r *reader) choose(path, what string, v any, allowed []string) string {
	s, ok := v.(string)
	switch {
	case !ok:
		r.report(path, "must be a string", allowed...)
	case !slices.Contains(allowed, s):
		r.report(path, "unknown "+what, allowed...)
	default:
		return s
	}
	return ""
}
