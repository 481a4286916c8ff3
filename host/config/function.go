package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"spore/host/function"
)

// functionTable reads one [function.NAME].
type functionTable struct {
	*table
	base         string // what relative paths start from
	secretSource bool   // the file has a [secrets] table
}

func (t functionTable) read(name string, routes *routeSet) function.Spec {
	spec := function.Spec{
		Name:   name,
		Source: absolute(t.base, t.str("source", "")),
		Module: absolute(t.base, t.str("module", "")),
		Limits: t.limits(),
		Env:    t.env(),
	}
	_, hasSource := t.values["source"]
	_, hasModule := t.values["module"]
	switch {
	case hasSource && hasModule:
		t.add(t.path, "names both source and module", "keep the one to serve")
	case !hasSource && !hasModule:
		t.add(t.path, "needs one of source and module", `source = "./dir" for Go, module = "file.wasm" for a built one`)
	}
	granted := map[function.Origin]bool{}
	spec.HTTP = t.origins("http", granted, true)
	spec.HTTPPrivate = t.origins("http_private", granted, false)
	spec.Secrets = t.secrets()
	spec.KV, _ = t.size("kv", "64KiB to 16GiB", lowestKV, highestKV)
	for _, r := range t.tables("route") {
		spec.Routes = append(spec.Routes, t.route(r, spec.Secrets, routes))
	}
	spec.Warmup = t.warmup(spec.Routes)
	t.done("schedule", "watch", "queue", "retry", "alias")
	return spec
}

func (t functionTable) limits() function.Limits {
	l := function.DefaultLimits
	var okTimeout, okResponse bool
	l.Timeout, okTimeout = t.duration("timeout", l.Timeout)
	l.ResponseTimeout, okResponse = t.duration("response_timeout", l.Timeout)
	l.InitTimeout, _ = t.duration("init_timeout", l.InitTimeout)
	l.Memory = t.memory("memory", l.Memory)
	l.Concurrency = int(t.number("concurrency", int64(l.Concurrency), 1, 100_000))
	if okTimeout && okResponse && l.ResponseTimeout > l.Timeout {
		t.problem("response_timeout", fmt.Sprintf("%v is longer than the timeout of %v", l.ResponseTimeout, l.Timeout), "raise timeout")
	}
	return l
}

// Bounds of a sandbox's memory in bytes. WebAssembly counts it in pages.
const (
	page          = 64 << 10
	lowestMemory  = 1 << 20
	highestMemory = 4095 << 20 // the engine counts bytes in 32 bits
)

// Bounds of a key-value bucket in bytes. The highest has room for nearly as many values
// of the greatest length as a bucket may have keys.
const (
	lowestKV  = 64 << 10
	highestKV = 16 << 30
)

func (t functionTable) memory(key string, def int64) int64 {
	n, ok := t.size(key, "1MiB to 4095MiB", lowestMemory, highestMemory)
	if !ok {
		return def
	}
	return (n + page - 1) / page * page
}

func (t functionTable) env() map[string]string {
	vars := t.table.table("env")
	env := make(map[string]string, len(vars.values))
	for _, name := range slices.Sorted(maps.Keys(vars.values)) {
		value, _ := get[string](vars, name, "a string")
		if name == "" || strings.ContainsAny(name, "=\x00") {
			vars.problem(name, "cannot be the name of an environment variable", "")
		}
		if strings.Contains(value, "\x00") {
			vars.problem(name, "has a NUL byte in its value", "")
		}
		env[name] = value
	}
	return env
}

func (t functionTable) origins(key string, granted map[function.Origin]bool, public bool) []function.Origin {
	var origins []function.Origin
	t.list(key, func(at, value string) {
		o, wrong, hint := parseOrigin(value)
		switch {
		case wrong != "":
			t.problem(at, fmt.Sprintf("%q %s", clip(value), wrong), hint)
			return
		case public && isPrivate(o.Host):
			t.problem(at, o.Host+" is a private address", "move it to http_private if that is meant")
		case granted[o]:
			t.problem(at, o.String()+" is granted twice", "remove one")
		}
		granted[o] = true
		origins = append(origins, o)
	})
	return origins
}

func (t functionTable) secrets() []string {
	var names []string
	granted := map[string]bool{}
	t.list("secrets", func(at, name string) {
		switch {
		case !function.IsIdentifier(name):
			t.problem(at, "is not the name of a secret", "use A-Z, a-z, 0-9 and _, not a digit first")
		case granted[name]:
			t.problem(at, name+" is granted twice", "remove one")
		case !t.secretSource:
			t.problem(at, name+" has no source", "add a [secrets] table with file, env or directory")
		}
		granted[name] = true
		names = append(names, name)
	})
	return names
}

// maxWarmup bounds the sample events of a function: each is run at every deploy.
const maxWarmup = 16

// warmup reads the sample events. Like spore invoke, they use the first route.
func (t functionTable) warmup(routes []function.Route) []string {
	var paths []string
	named := map[string]bool{}
	t.list("warmup", func(at, path string) {
		path = absolute(t.base, path)
		if named[path] {
			t.problem(at, "is named twice", "remove one")
		}
		named[path] = true
		paths = append(paths, path)
	})
	switch {
	case len(paths) > maxWarmup:
		t.problem("warmup", fmt.Sprintf("has %d sample events", len(paths)), fmt.Sprintf("use at most %d", maxWarmup))
	case len(paths) > 0 && len(routes) > 0 && strings.Contains(routes[0].Path, "{"):
		t.problem("warmup", "samples are sent through the first route, and "+routes[0].Path+" has parameters", "put a route without parameters first")
	}
	return paths
}
