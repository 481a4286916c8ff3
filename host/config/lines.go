package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// locate returns the line of every key in a TOML document, by the key's whole
// path as join writes it: "function.stats.timeout", "function.stats.http[2]".
// The TOML library keeps these positions to itself. The document must be one
// the library accepts; for any other the answer is incomplete. Tables that are
// never written out get the line where they are first mentioned.
//
// deep is the line where keys or values are in one another more than maxDepth times, and
// nothing behind it is read; 0 where there is none.
func locate(doc string) (lines map[string]int, deep int) {
	s := &locator{doc: strings.TrimPrefix(doc, "\ufeff"), line: 1, at: map[string]int{}, lists: map[string]int{}}
	table := ""
	for s.skipSpace(); s.doc != ""; s.skipSpace() {
		switch {
		case s.cut("[["):
			table = s.header(true)
		case s.cut("["):
			table = s.header(false)
		default:
			s.assignment(table)
		}
	}
	return s.at, s.deep
}

// maxDepth is more than any file of ours needs, and little enough for a library whose time
// grows with the cube of it.
const maxDepth = 32

type locator struct {
	doc   string // what is left
	line  int    // of the first byte of doc
	at    map[string]int
	lists map[string]int // length so far of every [[list]]
	depth int            // of the value that is being read
	deep  int
}

// goDeeper reports whether something may be in so many others, and ends the reading where
// it may not.
func (s *locator) goDeeper(depth int) bool {
	if depth <= maxDepth {
		return true
	}
	s.deep, s.doc = cmp.Or(s.deep, s.line), ""
	return false
}

// advance drops n bytes.
func (s *locator) advance(n int) {
	n = min(n, len(s.doc))
	s.line += strings.Count(s.doc[:n], "\n")
	s.doc = s.doc[n:]
}

// cut drops prefix if it is there.
func (s *locator) cut(prefix string) bool {
	if !strings.HasPrefix(s.doc, prefix) {
		return false
	}
	s.advance(len(prefix))
	return true
}

// skipSpace drops white space, line ends and comments.
func (s *locator) skipSpace() {
	for s.doc != "" {
		switch s.doc[0] {
		case ' ', '\t', '\r', '\n':
			s.advance(1)
		case '#':
			s.skipUntil("\n")
		default:
			return
		}
	}
}

// skipUntil drops everything before the first of stops.
func (s *locator) skipUntil(stops string) {
	n := strings.IndexAny(s.doc, stops)
	if n < 0 {
		n = len(s.doc)
	}
	s.advance(n)
}

func (s *locator) note(path string) {
	if _, there := s.at[path]; !there {
		s.at[path] = s.line
	}
}

// header reads a table's name after its bracket and returns its path. Each part
// that names a [[list]] means the list's last element.
func (s *locator) header(list bool) string {
	parts := s.key()
	s.skipUntil("\n") // past the brackets, or to the end of what is no TOML
	path := ""
	for i, part := range parts {
		path = join(path, part)
		s.note(path)
		if list && i == len(parts)-1 {
			s.lists[path]++
		}
		if n := s.lists[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
			s.note(path)
		}
	}
	return path
}

// assignment reads one key = value inside the table at path.
func (s *locator) assignment(path string) {
	parts := s.key()
	for _, part := range parts {
		path = join(path, part)
		s.note(path)
	}
	if !s.cut("=") {
		s.advance(1) // no TOML; go on, and end
		return
	}
	s.depth += len(parts) - 1 // each is a table in the one before
	s.value(path)
	s.depth -= len(parts) - 1
}

// key reads a key of one or more parts and the space behind it.
func (s *locator) key() []string {
	var parts []string
	for {
		s.skipSpace()
		parts = append(parts, s.keyPart())
		s.skipSpace()
		if !s.cut(".") || !s.goDeeper(s.depth+len(parts)+1) {
			return parts
		}
	}
}

func (s *locator) keyPart() string {
	if s.doc != "" && (s.doc[0] == '"' || s.doc[0] == '\'') {
		return unquote(s.quoted(s.doc[:1]))
	}
	n := strings.IndexFunc(s.doc, func(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' })
	if n < 0 {
		n = len(s.doc)
	}
	part := s.doc[:n]
	s.advance(n)
	return part
}

// quoted reads a string between two quote marks and returns it with them.
func (s *locator) quoted(mark string) string {
	n := len(mark)
	for n < len(s.doc) && !strings.HasPrefix(s.doc[n:], mark) {
		if s.doc[n] == '\\' && mark[0] == '"' {
			n++
		}
		n++
	}
	n = min(n+len(mark), len(s.doc))
	// Up to two quotes more belong to the text of a multi-line string.
	for len(mark) == 3 && n < len(s.doc) && s.doc[n] == mark[0] {
		n++
	}
	text := s.doc[:n]
	s.advance(n)
	return text
}

// unquote returns the text of a quoted key. Go's escapes are TOML's but for \e
// and \x; a key with those keeps them and is found by its table.
func unquote(s string) string {
	if strings.HasPrefix(s, "'") {
		return strings.Trim(s, "'")
	}
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return s
}

// value reads the value of the key at path, and the keys inside it.
func (s *locator) value(path string) {
	s.depth++
	defer func() { s.depth-- }()
	if !s.goDeeper(s.depth) {
		return
	}
	s.skipSpace()
	switch {
	case strings.HasPrefix(s.doc, `"""`), strings.HasPrefix(s.doc, "'''"):
		s.quoted(s.doc[:3])
	case strings.HasPrefix(s.doc, `"`), strings.HasPrefix(s.doc, "'"):
		s.quoted(s.doc[:1])
	case s.cut("["):
		s.elements("]", func(i int) {
			element := path // of a list in a list: the outer element will do
			if !strings.HasSuffix(path, "]") {
				element = fmt.Sprintf("%s[%d]", path, i)
			}
			s.note(element)
			s.value(element)
		})
	case s.cut("{"):
		s.elements("}", func(int) { s.assignment(path) })
	default:
		s.skipUntil(",]}#\n")
	}
}

// elements reads a list up to its closing bracket, calling read at each element.
func (s *locator) elements(closing string, read func(i int)) {
	for i := 0; ; i++ {
		s.skipSpace()
		if s.doc == "" || s.cut(closing) {
			return
		}
		before := len(s.doc)
		read(i)
		s.skipSpace()
		s.cut(",")
		if len(s.doc) == before {
			s.advance(1) // no TOML; go on, and end
		}
	}
}
