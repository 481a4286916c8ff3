// Package function is the vocabulary of the host: what a function is declared
// as (Spec), which version of it is meant (Ref), how an event reaches it
// (Invoker) and what can go wrong (Error), with the grammar of names, origins and
// paths that several packages have to read alike. It imports only abi, so that every
// other package may speak it.
package function

import (
	"context"
	"time"

	"spore/abi"
)

// Spec is one function as functions.toml declares it. Config fills it, nobody
// changes it afterwards.
type Spec struct {
	Name   string
	Source string // absolute path of a Go directory; empty when Module is set
	Module string // absolute path of a wasm file; empty when Source is set

	Limits Limits
	Routes []Route
	Env    map[string]string

	HTTP        []Origin // outbound grants, public addresses only
	HTTPPrivate []Origin // outbound grants for which private addresses are meant
	Secrets     []string // names this function may read
	KV          int64    // most bytes of its key-value bucket; 0: it has none
	Warmup      []string // absolute paths of sample events, served before the snapshot is taken
}

// Ref names a version of a function. Version 0 means whichever is live.
type Ref struct {
	Name    string
	Version int
}

// Limits bound one function. Zero values are replaced by the defaults when the
// configuration is read; everybody else may rely on them being set.
type Limits struct {
	Memory          int64         // bytes of linear memory of one sandbox, a multiple of 64 KiB
	Timeout         time.Duration // to the end, work after the answer included
	ResponseTimeout time.Duration // to the answer
	InitTimeout     time.Duration // of the initialisation at deploy, and of each sample event
	Concurrency     int           // sandboxes at once
}

// Defaults for what functions.toml leaves out. Timeout and concurrency are
// wider than Lambda's (3 s, 1000 an account) where that surprises nobody.
var DefaultLimits = Limits{
	Memory:      64 << 20,
	Timeout:     10 * time.Second,
	InitTimeout: 10 * time.Second,
	Concurrency: 50,
}

// Route binds a path of the HTTP listener to a function.
type Route struct {
	Method      string // upper case
	Path        string // "/a/{name}" or "/a/{rest:*}"
	SlackSecret string // name of the signing secret; empty for no verification
	Example     string // arguments that make a request to paste: curl's, or a slash command
}

// HealthPath is the one path that belongs to the host, for GET and HEAD.
const HealthPath = "/healthz"

// LongBody is the longest body, in bytes, of an answer that is borrowed.
const LongBody = 64 << 10

// Invoker takes one event to a function. reply is called at most once, with the
// answer, on the goroutine of Invoke; the Result and the event's bytes are
// borrowed, the first until reply returns, the second until reply was called or
// Invoke returns. A Result's body of over LongBody bytes is handed over instead: it
// is not written to again, and need not be copied. Invoke itself returns when the function has ended, which may
// be after the answer. A nil error without a reply does not happen. Calls may
// overlap.
type Invoker interface {
	Invoke(ctx context.Context, ref Ref, ev *abi.Event, reply Reply) (Stats, error)
}

// Reply takes a function's answer. goesOn says that the function is still working;
// otherwise Invoke returns within microseconds, and whoever has to wake somebody
// with the answer does so more cheaply then.
type Reply func(res *abi.Result, goesOn bool)

// Stats is what the host measured about one invocation.
type Stats struct {
	Ref        Ref           // the version that served
	Duration   time.Duration // time in the sandbox, host functions included
	Restore    time.Duration // to make the sandbox ready, and to clean up after it
	Host       time.Duration // part of Duration spent in host functions
	CPU        time.Duration // processor time of the guest and of the host functions it called
	MemoryMax  int64         // limit, bytes; 0 when the event never had a sandbox
	MemoryUsed int64         // linear memory at the end, bytes
	DirtyPages int           // 4 KiB pages that were copied back; -1 when the sandbox was dropped instead
	Answered   bool
}
