package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"spore/abi"
	"spore/host/capability"
	"spore/host/config"
	"spore/host/function"
	"spore/host/invoke"
	"spore/host/registry"
	"spore/host/sandbox"
	"spore/host/state"
	"spore/host/telemetry"
)

// host is the assembled machinery behind every way in: what it takes to deploy
// functions and to invoke them. serve puts a listener in front of it, and
// invoke --local a command line.
type host struct {
	log      *slog.Logger
	derived  string
	files    moduleFiles
	engine   *sandbox.Engine
	sweeping func() // ends taking idle functions out of memory
	touching func() // ends marking the files of what serves as used
	http     *capability.HTTP
	state    *state.State   // nil until a function may keep something
	kv       *capability.KV // over state
	recorder *recorder      // of a local run; nil otherwise
	registry registry.Registry

	dispatcher *invoke.Dispatcher
	invoker    function.Invoker
	now        func() time.Time

	secrets  atomic.Pointer[capability.Secrets]
	redact   *redactor            // knows the secrets that were handed out
	deployed map[string]*deployed // used by one goroutine at a time

	// route checks the routes of functions and returns what makes them the listener's;
	// nil without a listener.
	route func(functions map[string]*deployed) (set func(), err error)
}

// idleTime is how long a function that nobody calls stays in memory. Its next
// request then takes 10-50 ms longer.
const idleTime = 5 * time.Minute

// guestCores is how many guests run at the same time. Go gets two processors more
// than that: a guest cannot be interrupted between its yields, and while guests had
// every processor nobody looked at the network for 10 ms at a time. With one more,
// the 99th percentile of a small function on 16 connections was 2 to 4 times that of
// fasthttp alone, with two it is about the same.
var guestCores = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 2)
	return n
})

// memoryForGuests is how many bytes all sandboxes together may use: what functions.toml
// says, or three quarters of what there is.
func memoryForGuests(cfg *config.Config) int64 {
	if cfg.Host.Memory != 0 {
		return cfg.Host.Memory
	}
	return machineMemory() / 4 * 3
}

// newHost builds a host from the settings that need a restart to change.
func newHost(cfg *config.Config, log *slog.Logger, redact *redactor, now func() time.Time) (*host, error) {
	derived := filepath.Join(cfg.Host.Data, "derived")
	if err := os.MkdirAll(derived, 0o700); err != nil {
		return nil, unwritable(err)
	}
	compile, err := compiler()
	if err != nil {
		return nil, err
	}
	engine, err := sandbox.Open(sandbox.Options{Cores: guestCores(), Directory: derived, Compiler: compile, Idle: idleTime, Memory: memoryForGuests(cfg), Now: now})
	if err != nil {
		return nil, err
	}
	log.Debug("engine", "restore", engine.RestoreMethod(), "compile_limits", sandbox.CompileLimits)
	h := &host{log: log, redact: redact, derived: derived, engine: engine, now: now, deployed: map[string]*deployed{}, sweeping: background(engine.Run)}
	h.http = capability.NewHTTP(capability.HTTPOptions{UserAgent: cfg.Host.UserAgent})
	h.dispatcher = invoke.New(invoke.Options{Concurrency: cfg.Host.Concurrency, Now: now})
	h.invoker = &telemetry.Invoker{Next: h.dispatcher, Log: log}
	h.touching = background(func(ctx context.Context) error { return h.touch(ctx, touchTime) })
	return h, nil
}

// touchTime is how often files are marked as used that a function needs on its way back
// into memory: some times a day, after which another host may delete others (attachedAge).
const touchTime = 6 * time.Hour

// touch does that until ctx ends. A function that nobody asks for may be at rest for as
// long as the host runs.
func (h *host) touch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.dispatcher.Touch()
		}
	}
}

// close lets go of all functions. Nothing may be invoked any more.
func (h *host) close() {
	h.dispatcher.Close()
	h.http.Close()
	h.sweeping()
	h.touching()
	if h.state != nil {
		h.state.Close()
	}
}

// stateTime is how long opening state may take.
const stateTime = 10 * time.Second

// openState opens what functions keep things in, once the first of them may: a host
// without one pays nothing for it.
func (h *host) openState(ctx context.Context, cfg *config.Config) error {
	wanted := slices.ContainsFunc(cfg.Functions, func(f function.Spec) bool { return f.KV > 0 })
	if !wanted || h.state != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	start := time.Now()
	s, err := state.Open(ctx, state.Options{Directory: filepath.Join(cfg.Host.Data, "state"), URL: cfg.Host.NATS, Log: h.log, Now: h.now})
	if err != nil {
		return err
	}
	h.log.Debug("state opened", "took", time.Since(start).Round(time.Microsecond).String())
	h.state, h.kv = s, capability.NewKV(s, capability.KVOptions{})
	return nil
}

// keys returns spec's key-value operations.
func (h *host) keys(spec function.Spec) (*capability.FunctionKV, error) {
	if spec.KV == 0 {
		return capability.NoKV(spec), nil
	}
	return h.kv.For(spec)
}

// openSecrets opens the secrets cfg names, and refuses the demo's on a listener
// that strangers can reach.
func openSecrets(cfg *config.Config) (*capability.Secrets, error) {
	secrets, err := capability.OpenSecrets(capability.SecretsSource{File: cfg.Secrets.File, EnvPrefix: cfg.Secrets.EnvPrefix,
		Directory: cfg.Secrets.Directory, Parse: config.ParseSecrets})
	if err != nil {
		return nil, err
	}
	if secrets.Demo() && !isLoopback(cfg.Host.Listen) {
		return nil, fmt.Errorf("%s has demo secrets, which everybody knows, and listen = %q is not loopback; make your own secrets file first",
			cfg.Path, cfg.Host.Listen)
	}
	return secrets, nil
}

func isLoopback(listen string) bool {
	name, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// settings is what a function's image depends on beside its module.
func (h *host) settings(spec *function.Spec, samples []sandbox.Sample, kv *capability.FunctionKV, version func() int) sandbox.Settings {
	return sandbox.Settings{
		Name:        spec.Name,
		MemoryMax:   spec.Limits.Memory,
		InitTimeout: spec.Limits.InitTimeout,
		Env:         spec.Env,
		Warmup:      samples,
		Capabilities: sandbox.Capabilities{
			HTTP:   h.recorder.listen(h.http.For(*spec).Do),
			KV:     kv.Do,
			Secret: h.secret(*spec),
			Log:    h.guestLog(spec.Name, version),
		},
	}
}

// secret looks secrets up for spec in the source that is configured when the
// function asks.
func (h *host) secret(spec function.Spec) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) { return h.handedOut(name, h.secrets.Load().For(spec)) }
}

// handedOut looks a secret up and keeps it out of the log from now on.
func (h *host) handedOut(name string, lookup func(string) ([]byte, error)) ([]byte, error) {
	value, err := lookup(name)
	if err == nil {
		h.redact.add(name, value)
	}
	return value, err
}

// guestLog writes a guest's records to the host's log, under the function's name, as far
// as its budget goes. Its attributes stand in a group that no line of the host's has, a
// message without any included, and what it chose shows its control characters: it can
// neither pass for the host's words, a REPORT line say, nor steer a terminal.
func (h *host) guestLog(name string, version func() int) func(string, abi.LogRecord) {
	budget := logBudget{truncated: func(dropped int) {
		h.log.Warn("log truncated: over 1 MiB of one function in a second", "function", name, "version", version(), "dropped", dropped)
	}}
	return func(requestID string, rec abi.LogRecord) {
		if !budget.admits(sandbox.LogSize(&rec)) {
			return
		}
		if len(rec.Attrs) == 0 {
			rec.Attrs = abi.Pairs{{Name: "stream", Value: "log"}}
		}
		own := make([]slog.Attr, len(rec.Attrs))
		for i, a := range rec.Attrs {
			own[i] = slog.String(visible(a.Name), a.Value)
		}
		h.log.LogAttrs(context.Background(), slog.Level(rec.Level), visible(rec.Message), slog.String("function", name),
			slog.Int("version", version()), slog.String("request_id", requestID), slog.GroupAttrs("attrs", own...))
	}
}

// visible returns s with control characters and broken UTF-8 spelled out.
func visible(s string) string {
	hidden := func(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == utf8.RuneError }
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	return quoted(s)
}
