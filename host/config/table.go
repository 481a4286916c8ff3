package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table reads one TOML table key by key. Each reading method notes that the key
// is known, reports a value of the wrong type, and then answers as if the key
// were absent; done reports the keys nobody asked for.
type table struct {
	*problems
	path   string // of the table itself; empty for the top
	values map[string]any
	known  []string
}

// get takes the value of key out of t. It is generic because TOML's types are
// all asked for in this one way.
func get[T any](t *table, key, want string) (v T, ok bool) {
	t.known = append(t.known, key)
	raw, there := t.values[key]
	if !there {
		return v, false
	}
	v, ok = raw.(T)
	if !ok {
		t.problem(key, "want "+want+", got "+typeName(raw), "")
	}
	return v, ok
}

func (t *table) problem(key, text, hint string) { t.add(join(t.path, key), text, hint) }

// str returns the string at key, or def.
func (t *table) str(key, def string) string {
	v, ok := get[string](t, key, "a string")
	switch {
	case !ok:
		return def
	case v == "":
		t.problem(key, "is empty", "")
		return def
	}
	return v
}

// number returns the integer at key, or def.
func (t *table) number(key string, def, lowest, highest int64) int64 {
	v, ok := get[int64](t, key, "an integer")
	if !ok {
		return def
	}
	if v < lowest || v > highest {
		t.problem(key, fmt.Sprintf("is %d", v), fmt.Sprintf("use %d to %d", lowest, highest))
		return def
	}
	return v
}

// Bounds of every duration in the file: shorter cannot be kept, and longer is
// Lambda's limit too.
const (
	shortest = 10 * time.Millisecond
	longest  = 15 * time.Minute
)

// duration returns the duration at key, or def. It is not ok when something is
// there that cannot be used.
func (t *table) duration(key string, def time.Duration) (d time.Duration, ok bool) {
	v, ok := get[string](t, key, `a duration in quotes like "10s"`)
	if !ok {
		_, there := t.values[key]
		return def, !there
	}
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		t.problem(key, fmt.Sprintf("%q is not a duration", clip(v)), `write it like "250ms", "10s" or "1m30s"`)
	case d < shortest || d > longest:
		t.problem(key, "is "+d.String(), fmt.Sprintf("use %v to %v", shortest, longest))
	default:
		return d, true
	}
	return def, false
}

// size reads the size at key, which is to be within bounds, also given in words. It
// is not ok when nothing is there that can be used.
func (t *table) size(key, bounds string, lowest, highest int64) (bytes int64, ok bool) {
	v, ok := get[string](t, key, `a size in quotes like "64MiB"`)
	if !ok {
		return 0, false
	}
	n, ok := parseSize(v)
	switch {
	case !ok:
		t.problem(key, fmt.Sprintf("%q is not a size", clip(v)), `write it like "64MiB" or "64MB"`)
	case n < lowest || n > highest:
		t.problem(key, "is "+v, "use "+bounds)
	default:
		return n, true
	}
	return 0, false
}

// parseSize reads a whole number with a unit. A number too large for an int64
// comes back as the largest one.
func parseSize(s string) (bytes int64, ok bool) {
	digits := strings.TrimRight(s, "kKMGiB")
	unit := int64(0)
	switch s[len(digits):] {
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	case "kB", "KB":
		unit = 1e3
	case "MB":
		unit = 1e6
	case "GB":
		unit = 1e9
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return math.MaxInt64, strings.Trim(digits, "0123456789") == "" && digits != ""
	}
	return int64(n) * unit, true
}

// list calls each with the key and value of every string in the list at key.
func (t *table) list(key string, each func(key, value string)) {
	values, _ := get[[]any](t, key, "a list of strings")
	for i, raw := range values {
		at := fmt.Sprintf("%s[%d]", key, i)
		v, ok := raw.(string)
		switch {
		case !ok:
			t.problem(at, "want a string, got "+typeName(raw), "")
		case v == "":
			t.problem(at, "is empty", "")
		default:
			each(at, v)
		}
	}
}

// table returns the table at key; an absent one is empty.
func (t *table) table(key string) *table {
	values, _ := get[map[string]any](t, key, "a table")
	return &table{problems: t.problems, path: join(t.path, key), values: values}
}

// tables returns the tables of the list at key. TOML has two ways to write
// one, [[key]] and key = [{}], which the parser keeps apart.
func (t *table) tables(key string) []*table {
	t.known = append(t.known, key)
	var list []any
	switch raw := t.values[key].(type) {
	case nil:
	case []map[string]any:
		for _, values := range raw {
			list = append(list, values)
		}
	case []any:
		list = raw
	default:
		t.problem(key, "want a list of tables, got "+typeName(raw), "write [["+join(t.path, key)+"]]")
	}
	var tables []*table
	for i, raw := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		values, ok := raw.(map[string]any)
		if !ok {
			t.problem(at, "want a table, got "+typeName(raw), "")
			continue
		}
		tables = append(tables, &table{problems: t.problems, path: join(t.path, at), values: values})
	}
	return tables
}

// done reports every key that was not asked for; planned names those that a
// later version will know.
func (t *table) done(planned ...string) {
	for key := range t.values {
		switch {
		case slices.Contains(t.known, key):
		case slices.Contains(planned, key):
			t.problem(key, "not supported by this version", "remove it")
		default:
			t.problem(key, "unknown key", suggest(key, t.known))
		}
	}
}

// join appends key to the path of its table, quoted where TOML would need it.
func join(path, key string) string {
	bare := func(r rune) bool { return r == '-' || r == '_' || r == '[' || r == ']' || isAlphanumeric(r) }
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !bare(r) }) {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
