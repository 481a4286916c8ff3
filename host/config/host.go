package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"spore/host/function"
)

// Host is the [host] table: what holds for all functions together.
type Host struct {
	Listen      string // address of the HTTP listener, host:port
	Data        string // absolute path of the data directory
	UserAgent   string // of outbound calls
	Log         string // "auto", "text" or "json"
	Concurrency int    // sandboxes at once, all functions together
	Memory      int64  // bytes that all of them may use together; 0: what suits the machine
	NATS        string // URL of a NATS cluster that keeps state; empty: the data directory does
}

// Secrets is the [secrets] table: where secrets come from. At most one field is
// set; none means that there are no secrets.
type Secrets struct {
	File      string // absolute path of a file for ParseSecrets
	EnvPrefix string // of environment variables
	Directory string // absolute path of a directory with one file per secret
}

const (
	// defaultConcurrency suits a small machine: 256 sandboxes of Go functions that have just
	// been restored need 1 GiB as a rule.
	defaultConcurrency = 256

	lowestHostMemory  = 16 << 20
	highestHostMemory = 16 << 40
)

const maxUserAgent = 200

func readHost(t *table, base string) Host {
	h := Host{
		Listen:      t.str("listen", "127.0.0.1:8080"),
		Data:        absolute(base, t.str("data", "data")),
		UserAgent:   t.str("user_agent", "spore"),
		Log:         t.str("log", "auto"),
		Concurrency: int(t.number("concurrency", defaultConcurrency, 1, 100_000)),
		NATS:        t.str("nats", ""),
	}
	h.Memory, _ = t.size("memory", "16MiB to 16TiB", lowestHostMemory, highestHostMemory)
	t.done("queue", "console")
	if h.NATS != "" && !isNATS(h.NATS) {
		t.problem("nats", "is not the URL of a NATS server", `write it like "nats://10.0.0.1:4222"; several are separated by commas`)
	}
	if !isListenAddress(h.Listen) {
		t.problem("listen", "is not an address and port", `write it like "127.0.0.1:8080"`)
	}
	if len(h.UserAgent) > maxUserAgent || strings.ContainsFunc(h.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.problem("user_agent", "cannot be sent as a header", "use at most 200 printable ASCII characters")
	}
	if h.Log != "auto" && h.Log != "text" && h.Log != "json" {
		t.problem("log", "is not a log format", `use "auto", "text" or "json"`)
	}
	return h
}

// isNATS reports whether s is one URL or several with commas in between.
func isNATS(s string) bool {
	for one := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" {
			return false
		}
	}
	return true
}

func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func readSecrets(t *table, base string) Secrets {
	s := Secrets{
		File:      absolute(base, t.str("file", "")),
		EnvPrefix: t.str("env", ""),
		Directory: absolute(base, t.str("directory", "")),
	}
	t.done()
	if s.EnvPrefix != "" && !function.IsIdentifier(s.EnvPrefix) {
		t.problem("env", "is not a prefix of environment variables", `write it like "SPORE_SECRET_"`)
	}
	switch {
	case t.values == nil:
	case len(t.values) == 0:
		t.add(t.path, "names no source", "set one of file, env and directory")
	case s.File != "" && s.EnvPrefix != "", s.File != "" && s.Directory != "", s.EnvPrefix != "" && s.Directory != "":
		t.add(t.path, "names more than one source", "keep one of file, env and directory")
	}
	return s
}
