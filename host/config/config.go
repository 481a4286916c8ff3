// Package config reads functions.toml: which functions there are, what they may
// do, and the settings of the host. Load checks everything it can check without
// running anything and reports all problems at once, each with its line and,
// where one is known, the way out. It is the only package that knows TOML.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"spore/abi"
	"spore/host/function"
)

// maxFile bounds functions.toml and a secrets file, in bytes. The TOML parser
// recurses once per bracket, and this many still fit on a goroutine's stack.
const maxFile = 1 << 20

// Config is one functions.toml, checked and complete: what the file leaves out
// has its default. It belongs to the caller and shares nothing.
type Config struct {
	Path      string // as it was given
	Host      Host
	Secrets   Secrets
	Functions []function.Spec // sorted by name
}

// Load reads and checks the file at path. Problems with its content come as a
// *Error that lists all of them, also files it names that do not exist.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg, found := parse(path, data)
	checkFiles(cfg, found)
	if err := found.err(path); err != nil {
		return nil, err
	}
	return cfg, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1)) // one byte over the limit is enough to refuse it
}

// parse reads data as the content of the file at path, and looks at no other file.
func parse(path string, data []byte) (*Config, *problems) {
	cfg := &Config{Path: path}
	tree, lines, wrong := parseTOML(data)
	if wrong != nil {
		return cfg, &problems{list: []Problem{*wrong}}
	}
	found := &problems{lines: lines}
	top := &table{problems: found, values: tree}
	base := directory(path)
	cfg.Host = readHost(top.table("host"), base)
	cfg.Secrets = readSecrets(top.table("secrets"), base)
	_, secretSource := tree["secrets"]
	cfg.Functions = readFunctions(top.table("function"), base, secretSource)
	top.done("nats")
	for _, f := range cfg.Functions {
		if cfg.Host.Memory != 0 && f.Limits.Memory > cfg.Host.Memory/4*3 { // its share: host/sandbox, budget.go
			found.add(join(join("function", f.Name), "memory"), "is more than three quarters of memory under [host], which is what one function may have", "lower it, or raise that")
		}
	}
	return cfg, found
}

// directory is what relative paths in the file at path start from.
func directory(path string) string {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return filepath.Dir(path)
	}
	return dir
}

func absolute(base, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func parseTOML(data []byte) (tree map[string]any, lines map[string]int, wrong *Problem) {
	if len(data) > maxFile {
		return nil, nil, &Problem{Text: fmt.Sprintf("the file is over the limit of %d bytes", maxFile)}
	}
	lines, deep := locate(string(data))
	if deep > 0 {
		return nil, nil, &Problem{Line: deep, Text: fmt.Sprintf("goes more than %d tables or lists deep", maxDepth)}
	}
	err := toml.Unmarshal(data, &tree)
	if err == nil {
		return tree, lines, nil
	}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		text := clip(strings.TrimSuffix(syntax.Message, "."))
		return nil, nil, &Problem{Line: syntaxLine(data, syntax), Text: text}
	}
	return nil, nil, &Problem{Text: err.Error()}
}

// syntaxLine is the line of a syntax error in data. The parser miscounts when
// what it stumbles over is the end of the line; its offset is right then.
func syntaxLine(data []byte, e toml.ParseError) int {
	if strings.Contains(e.Message, `got '\n'`) {
		return 1 + bytes.Count(data[:min(e.Position.Start, len(data))], []byte("\n"))
	}
	return e.Position.Line
}

func readFunctions(t *table, base string, secretSource bool) []function.Spec {
	var specs []function.Spec
	routes := &routeSet{problems: t.problems}
	for _, name := range slices.Sorted(maps.Keys(t.values)) {
		if !function.IsName(name) {
			t.problem(name, "is not a function name", "use a-z, 0-9 and -, a letter first, at most 63 in all")
		}
		f := functionTable{table: t.table(name), base: base, secretSource: secretSource}
		if f.values != nil {
			specs = append(specs, f.read(name, routes))
		}
	}
	routes.refuseDuplicates()
	return specs
}

// checkFiles reports the directories, modules and sample events that are not there.
func checkFiles(cfg *Config, found *problems) {
	for _, spec := range cfg.Functions {
		key := join("function", spec.Name)
		if info, err := os.Stat(spec.Source); spec.Source != "" && (err != nil || !info.IsDir()) {
			found.add(join(key, "source"), "no directory at "+spec.Source, "source names the directory of a Go main package")
		}
		if info, err := os.Stat(spec.Module); spec.Module != "" && (err != nil || !info.Mode().IsRegular()) {
			found.add(join(key, "module"), "no file at "+spec.Module, "build it with spore build")
		}
		for i, path := range spec.Warmup {
			at := fmt.Sprintf("%s[%d]", join(key, "warmup"), i)
			info, err := os.Stat(path)
			switch {
			case err != nil || !info.Mode().IsRegular():
				found.add(at, "no file at "+path, "warmup names files with sample events, as for spore invoke -e")
			case info.Size() > abi.MaxBody:
				found.add(at, fmt.Sprintf("%s is over the limit of %d bytes for an event's body", path, abi.MaxBody), "")
			}
		}
	}
}
