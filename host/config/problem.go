package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing wrong with a file.
type Problem struct {
	Line int    // counted from 1; 0 when the problem is not on any one line
	Key  string // the whole key, "function.stats.route[0].path"; may be empty
	Text string // what is wrong
	Hint string // what to do about it; may be empty
}

func (p Problem) String() string {
	s := p.Text
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Error is everything that is wrong with one file, sorted by line.
type Error struct {
	Path     string
	Problems []Problem // never empty
}

// Error prints one problem a line, each beginning with file and line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		at := e.Path
		if p.Line > 0 {
			at = fmt.Sprintf("%s:%d", e.Path, p.Line)
		}
		lines[i] = at + ": " + p.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects what is wrong while a file is read.
type problems struct {
	lines map[string]int // of every key; see locate
	list  []Problem
}

func (p *problems) add(key, text, hint string) {
	p.list = append(p.list, Problem{Line: p.line(key), Key: clip(key), Text: text, Hint: hint})
}

// line returns where key is, or where the table around it begins.
func (p *problems) line(key string) int {
	for key != "" {
		if n, ok := p.lines[key]; ok {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}

func (p *problems) err(path string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return &Error{Path: path, Problems: p.list}
}

// clip keeps what a file says from flooding a message about it.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
