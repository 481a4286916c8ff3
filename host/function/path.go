package function

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"spore/abi"
)

// Path is a route's path, taken apart at its slashes.
type Path []Segment

// Segment is what stands between two slashes of a route's path.
type Segment struct {
	Kind SegmentKind
	Text string // a literal, or a parameter's name
}

// SegmentKind says what a segment stands for.
type SegmentKind int

const (
	Literal   SegmentKind = iota // itself, in a decoded path; empty in "/" and behind a slash at the end
	Parameter                    // "{name}": one segment, not empty
	Rest                         // "{name:*}": all that follows, empty or not
)

// MaxPath is the most bytes a route's path may have: RFC 9110 section 4.1 wants 8000 at
// least in a request. What is done with its parameters takes the square of their number.
const MaxPath = 8 << 10

// ParsePath takes a route's path apart: "/a/{name}" or "/a/{rest:*}". Its error goes on
// where "the path" leaves off.
func ParsePath(path string) (Path, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New(`does not begin with "/"`)
	}
	if len(path) > MaxPath {
		return nil, fmt.Errorf("is over the limit of %d bytes", MaxPath)
	}
	texts := strings.Split(path[1:], "/")
	var p Path
	var names []string
	for i, text := range texts {
		s := parseSegment(text)
		last := i == len(texts)-1
		switch {
		case s.Kind == Literal && !isPathLiteral(text) && !(last && text == ""):
			return nil, fmt.Errorf("has a segment %q that no request matches", text)
		case s.Kind != Literal && slices.Contains(names, s.Text):
			return nil, errors.New("has two parameters called " + s.Text)
		case s.Kind == Rest && !last:
			return nil, errors.New("goes on after {" + s.Text + ":*}")
		case s.Kind != Literal:
			names = append(names, s.Text)
		}
		p = append(p, s)
	}
	return p, nil
}

// parseSegment returns the parameter that text is, or else a literal.
func parseSegment(text string) Segment {
	name, open := strings.CutPrefix(text, "{")
	name, shut := strings.CutSuffix(name, "}")
	name, rest := strings.CutSuffix(name, ":*")
	switch {
	case !open || !shut || !IsIdentifier(name):
		return Segment{Literal, text}
	case rest:
		return Segment{Rest, name}
	}
	return Segment{Parameter, name}
}

// isPathLiteral reports whether a segment can stand for itself in a decoded path: the
// characters RFC 3986 section 3.3 allows there without percent-encoding.
func isPathLiteral(segment string) bool {
	other := func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~!$&'()*+,;=:@", r) }
	return segment != "" && segment != "." && segment != ".." && !strings.ContainsFunc(segment, other)
}

// Shape returns the path without the names of its parameters, which do not tell two
// routes apart, and without a slash at the end, which tells them apart for programs and
// not for people.
func (p Path) Shape() string {
	shape := ""
	for _, s := range p {
		switch s.Kind {
		case Literal:
			shape += "/" + s.Text
		case Parameter:
			shape += "/{}"
		case Rest:
			shape += "/{:*}"
		}
	}
	return "/" + strings.Trim(shape, "/")
}

// AppendParams takes the values of p's parameters out of a decoded path that p matches.
func (p Path) AppendParams(dst abi.Pairs, decoded string) abi.Pairs {
	left := strings.TrimPrefix(decoded, "/")
	for _, s := range p {
		value := left
		if s.Kind != Rest {
			value, left, _ = strings.Cut(left, "/")
		}
		if s.Kind != Literal {
			dst = append(dst, abi.Pair{Name: s.Text, Value: value})
		}
	}
	return dst
}
