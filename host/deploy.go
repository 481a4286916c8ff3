package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
	"spore/host/invoke"
	"spore/host/sandbox"
)

// deployed is one function as it is being served.
type deployed struct {
	spec   function.Spec
	digest string // of module and settings: the version's identity
	live   invoke.Live
}

// deploy makes cfg's functions live. Every function is built and prepared before
// anything changes; then the table of live versions is replaced as a whole. A
// function that cannot be deployed keeps the version that was serving, and the
// error says why for each. When ctx ends meanwhile, nothing changes.
func (h *host) deploy(ctx context.Context, cfg *config.Config) error {
	secrets, err := openSecrets(cfg)
	if err != nil {
		return err
	}
	h.secrets.Store(secrets)
	if err := h.openState(ctx, cfg); err != nil {
		return err
	}
	next, err := h.prepareAll(ctx, cfg.Functions)
	if ctx.Err() != nil {
		h.discard(next)
		return ctx.Err()
	}
	if err != nil && len(h.deployed) == 0 { // nothing serves yet, and half a host is none
		h.discard(next)
		return err
	}
	return errors.Join(err, h.replace(cfg, next))
}

// prepareAll prepares functions, several at the same time where nothing serves yet. Those
// that have failed are nil, and the error says why for each.
func (h *host) prepareAll(ctx context.Context, functions []function.Spec) ([]*deployed, error) {
	next, errs := make([]*deployed, len(functions)), make([]error, len(functions))
	slots := make(chan struct{}, runtime.NumCPU())
	if len(h.deployed) > 0 {
		slots = make(chan struct{}, 1) // requests are being served, and go first
	}
	var wg sync.WaitGroup
	for i := range functions {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() == nil { // ten thousand functions take seconds
				next[i], errs[i] = h.prepare(ctx, &functions[i])
			}
		})
	}
	wg.Wait()
	for i := range functions {
		if len(h.deployed) == 0 && lacksRoom(errs[i]) { // alone it may have enough
			next[i], errs[i] = h.prepare(ctx, &functions[i])
		}
	}
	return next, errors.Join(errs...)
}

// prepare returns spec's function ready to serve: the one that serves already
// when nothing about it has changed.
func (h *host) prepare(ctx context.Context, spec *function.Spec) (*deployed, error) {
	code, err := h.module(ctx, spec)
	if err != nil {
		return nil, h.refused(spec, err)
	}
	samples, err := readSamples(spec)
	if err != nil {
		return nil, h.refused(spec, err)
	}
	if missing := h.missingSecrets(spec); len(missing) > 0 {
		return nil, h.refused(spec, fmt.Errorf("secret %s is not set; add it to the secrets that functions.toml names", strings.Join(missing, ", ")))
	}
	digest := identity(spec, code.digest, samples)
	if was := h.deployed[spec.Name]; was != nil && was.digest == digest && was.live.Image.Touch() {
		kept := *was
		kept.spec = *spec // routes may have changed
		return &kept, nil
	}
	kv, err := h.keys(*spec)
	if err != nil {
		return nil, h.refused(spec, err)
	}
	start := time.Now()
	var number atomic.Int64 // 0, as the log has it, until the version is published
	img, err := h.image(ctx, code, h.settings(spec, samples, kv, func() int { return int(number.Load()) }))
	if err != nil {
		return nil, h.refused(spec, err)
	}
	if was := h.deployed[spec.Name]; was != nil && was.live.Image.Wanted() { // somebody is using it, or waits for it
		if err := img.Wake(ctx); err != nil {
			img.Close()
			return nil, h.refused(spec, err)
		}
	}
	version := h.registry.Publish(spec.Name, digest)
	number.Store(int64(version))
	h.log.Info("prepared", "function", spec.Name, "version", version, "took", time.Since(start).Round(time.Millisecond).String())
	if note := img.Note(); note != "" {
		h.log.Warn(note, "function", spec.Name, "version", version)
	}
	live := invoke.Live{Ref: function.Ref{Name: spec.Name, Version: version}, Image: img, Limits: spec.Limits}
	return &deployed{*spec, digest, live}, nil
}

// image returns code ready to serve, from earlier when it was prepared before.
func (h *host) image(ctx context.Context, code *module, settings sandbox.Settings) (*sandbox.Image, error) {
	if img, ok := h.engine.Prepared(code.digest, settings); ok {
		return img, nil
	}
	wasm, err := code.bytes()
	if err != nil {
		return nil, err
	}
	return h.engine.Prepare(ctx, wasm, settings)
}

func (h *host) refused(spec *function.Spec, err error) error {
	kind := function.KindOf(err)
	if kind == abi.Internal {
		kind = abi.Invalid // whatever it is, the function as given cannot be deployed
	}
	return &function.Error{Kind: kind, Op: "deploy " + spec.Name, Err: err}
}

func (h *host) missingSecrets(spec *function.Spec) []string {
	secrets := h.secrets.Load()
	missing := secrets.Missing(spec.Secrets)
	for _, r := range spec.Routes {
		if r.SlackSecret == "" {
			continue
		}
		if value, err := secrets.Lookup(r.SlackSecret); err != nil || len(value) == 0 { // an empty one verifies nothing
			missing = append(missing, r.SlackSecret)
		}
	}
	return missing
}

// identity is the digest of all that makes a version: the module's digest, every setting
// but the routes, which belong to the listener, and what the module is warmed up
// with.
func identity(spec *function.Spec, module string, samples []sandbox.Sample) string {
	s := *spec
	s.Source, s.Module, s.Routes, s.Warmup = "", "", nil, nil
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(samples) // a hash and plain data: neither fails
	fmt.Fprintf(h, "%s\n%#v", module, s)   // maps print in key order
	return hex.EncodeToString(h.Sum(nil))
}

// discard lets go of what was prepared in vain.
func (h *host) discard(next []*deployed) {
	for _, d := range next {
		if d == nil {
			continue
		}
		if was := h.deployed[d.spec.Name]; was == nil || was.live.Image != d.live.Image {
			d.live.Image.Close()
		}
	}
}

// settle is how long a function that was removed stays callable after its routes
// are gone, for requests that had found their route before.
const settle = 100 * time.Millisecond

// replace puts what was prepared into service, in an order in which no request
// meets a route without its function. A nil entry stands for a function that
// failed: what served before goes on, under its own routes. When another function has
// one of them now, all that served before goes on.
func (h *host) replace(cfg *config.Config, next []*deployed) error {
	old, table := h.deployed, map[string]*deployed{}
	for i, d := range next {
		name := cfg.Functions[i].Name
		if d == nil {
			d = old[name]
		}
		if d != nil {
			table[name] = d
		}
	}
	setRoutes := func() {}
	if h.route != nil {
		var err error
		if setRoutes, err = h.route(table); err != nil {
			h.discard(next)
			return err
		}
	}
	both := maps.Clone(old)
	maps.Copy(both, table)
	h.dispatcher.Replace(liveOf(both))
	setRoutes()
	if len(both) > len(table) {
		time.Sleep(settle)
		h.dispatcher.Replace(liveOf(table))
	}
	h.deployed = table
	h.announce(old)
	return nil
}

func liveOf(functions map[string]*deployed) []invoke.Live {
	var live []invoke.Live
	for _, d := range functions {
		live = append(live, d.live)
	}
	return live
}

// announce logs what has changed. From here on no request begins on
// an old version.
func (h *host) announce(old map[string]*deployed) {
	for name, d := range h.deployed {
		if was := old[name]; was != nil && was.live.Image == d.live.Image {
			continue
		}
		h.log.Info("live", "function", name, "version", d.live.Ref.Version, "digest", d.digest[:12])
	}
	for name := range old {
		if h.deployed[name] == nil {
			h.log.Info("removed", "function", name)
		}
	}
}
