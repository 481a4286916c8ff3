package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"spore/abi"
	"spore/host/capability"
	"spore/host/config"
	"spore/host/function"
	"spore/host/invoke"
	"spore/host/registry"
	"spore/host/sandbox"
	"spore/host/telemetry"
)

// host is the assembled machinery behind every way in: what it takes to deploy
// functions and to invoke them. serve puts a listener in front of it, and
// invoke --local a command line.
type host struct {
	log      *slog.Logger
	derived  string
	engine   *sandbox.Engine
	http     *capability.HTTP
	registry registry.Registry

	dispatcher *invoke.Dispatcher
	invoker    function.Invoker
	now        func() time.Time

	secrets  atomic.Pointer[capability.Secrets]
	deployed map[string]*deployed // used by one goroutine at a time
}

// newHost builds a host from the settings that need a restart to change.
func newHost(cfg *config.Config, log *slog.Logger, now func() time.Time) (*host, error) {
	derived := filepath.Join(cfg.Host.Data, "derived")
	if err := os.MkdirAll(derived, 0o700); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	engine, err := sandbox.Open(sandbox.Options{Directory: derived, Now: now})
	if err != nil {
		return nil, err
	}
	h := &host{log: log, derived: derived, engine: engine, now: now, deployed: map[string]*deployed{}}
	h.http = capability.NewHTTP(capability.HTTPOptions{UserAgent: cfg.Host.UserAgent})
	h.dispatcher = invoke.New(invoke.Options{Concurrency: cfg.Host.Concurrency, Now: now})
	h.invoker = &telemetry.Invoker{Next: h.dispatcher, Log: log}
	return h, nil
}

// close lets go of all functions. Nothing may be invoked any more.
func (h *host) close() {
	h.dispatcher.Close()
	h.http.Close()
	_ = h.engine.Close() // only memory to give back
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
func (h *host) settings(spec *function.Spec, version func() int) sandbox.Settings {
	return sandbox.Settings{
		Name:        spec.Name,
		MemoryMax:   spec.Limits.Memory,
		InitTimeout: spec.Limits.InitTimeout,
		Env:         spec.Env,
		Capabilities: sandbox.Capabilities{
			HTTP:   h.http.For(*spec).Do,
			Secret: h.secrets.Load().For(*spec),
			Log:    h.guestLog(spec.Name, version),
		},
	}
}

// guestLog writes a guest's records to the host's log, under the function's name.
func (h *host) guestLog(name string, version func() int) func(string, abi.LogRecord) {
	return func(requestID string, rec abi.LogRecord) {
		attrs := make([]slog.Attr, 0, 3+len(rec.Attrs))
		attrs = append(attrs, slog.String("function", name), slog.Int("version", version()), slog.String("request_id", requestID))
		for _, a := range rec.Attrs {
			attrs = append(attrs, slog.String(a.Name, a.Value))
		}
		h.log.LogAttrs(context.Background(), slog.Level(rec.Level), rec.Message, attrs...)
	}
}
