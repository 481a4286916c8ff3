package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestLocate(t *testing.T) {
	for _, test := range []struct {
		name, doc, key string
		line           int
	}{
		{"a key at the top", "\n\na = 1", "a", 3},
		{"a key in a table", "[t]\na = 1", "t.a", 2},
		{"a table without a header of its own", "\n[t.u]\na = 1", "t", 2},
		{"a header with spaces and quotes", "[ t . \"u\" . 'v' ]\na = 1", "t.u.v.a", 2},
		{"a quoted key with a dot", "[t]\n\"a.b\" = 1", `t."a.b"`, 2},
		{"a quoted key with an escape", `"\u0061" = 1`, "a", 1},
		{"a dotted key", "[t]\na.b.c = 1", "t.a.b.c", 2},
		{"a key after a comment that looks like a key", "# a = 1\na = 2", "a", 2},
		{"a key after a multi-line string that looks like keys", "x = \"\"\"\na = 1\n\\\"\"\"\nb = 2\"\"\"\na = 3", "a", 5},
		{"a key after a multi-line string that ends in quotes", "x = '''\n'''''\na = 3", "a", 3},
		{"a key after a string with an escaped quote", "x = \"\\\"\"\na = 1", "a", 2},
		{"a key after a string with a hash", "x = '#'\na = 1", "a", 2},
		{"the second element of a list of tables", "[[l]]\na = 1\n[[l]]\na = 2", "l[1].a", 4},
		{"a table inside the last element of a list", "[[l]]\n[[l]]\n[l.t]\na = 1", "l[1].t.a", 4},
		{"a list inside a list of tables", "[[l]]\n[[l.m]]\n[[l]]\n[[l.m]]\n[[l.m]]\na = 1", "l[1].m[1].a", 6},
		{"an element of a list over several lines", "l = [ # [\n  1,\n  2 ]", "l[1]", 3},
		{"a key in an inline table", "t = { a = 1, b = [2], c = { d = 3 } }", "t.c.d", 1},
		{"a key in an inline table over several lines", "t = {\na = 1,\nb = 2 }", "t.b", 3},
		{"a key in a table in a list", "l = [{},\n{ a = 1 }]", "l[1].a", 2},
		{"a key behind a date with a space", "d = 1979-05-27 07:32:00\na = 1", "a", 2},
		{"a key in a file with Windows line ends", "x = 1\r\n[t]\r\na = 2\r\n", "t.a", 3},
		{"a key behind a byte order mark", "\ufeffa = 1", "a", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, wrong := parseTOML([]byte(test.doc))
			require.Nil(t, wrong)
			lines, _ := locate(test.doc)
			require.Contains(t, lines, test.key)
			require.Equal(t, test.line, lines[test.key])
		})
	}
}

// FuzzLocate holds that every key of a document is found.
func FuzzLocate(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.toml", "testdata/invalid/*.toml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(string(data))
		}
	}
	f.Fuzz(func(t *testing.T, doc string) {
		lines, _ := locate(doc)
		tree, _, wrong := parseTOML([]byte(doc))
		if wrong != nil || strings.Contains(doc, `\`) || !utf8.ValidString(doc) {
			return // escaped keys may be found by their table only
		}
		eachKey("", tree, func(path string) { require.Contains(t, lines, path) })
	})
}

func eachKey(path string, v any, each func(path string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			each(join(path, key))
			eachKey(join(path, key), inner, each)
		}
	case []map[string]any:
		for i, inner := range v {
			eachKey(fmt.Sprintf("%s[%d]", path, i), inner, each)
		}
	case []any:
		for i, inner := range v {
			if _, nested := inner.([]any); nested {
				continue // its elements go by the outer one
			}
			eachKey(fmt.Sprintf("%s[%d]", path, i), inner, each)
		}
	}
}
