// Package logging lets log/slog write to a function's log:
//
//	slog.SetDefault(slog.New(logging.New(nil)))
//
// The host stamps each record with the time and the request id. Groups are
// flattened: attribute c of group g is called "g.c". What is over the limits of a
// record is clipped or left out, as guest.Log says.
package logging

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"spore/guest"
	"spore/guest/internal/sys"
)

// New returns a handler that sends every record to the host at once; it may be
// used from several goroutines. Of opts, which may be nil, ReplaceAttr sees the
// attributes and, with AddSource, the source, but not time, level and message:
// those are fields of the record.
func New(opts *slog.HandlerOptions) slog.Handler { return newHandler(opts, sys.Log) }

func newHandler(opts *slog.HandlerOptions, send func(frame []byte) int32) slog.Handler {
	if opts == nil {
		opts = new(slog.HandlerOptions)
	}
	return &handler{opts: *opts, send: send}
}

// handler is never changed after it was made; WithAttrs and WithGroup copy it.
type handler struct {
	opts   slog.HandlerOptions
	send   func(frame []byte) int32
	groups []string    // open groups, outermost first
	attrs  guest.Pairs // from WithAttrs, flattened
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.opts.Level != nil {
		least = h.opts.Level.Level()
	}
	return level >= least
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		with.attrs = h.flatten(with.attrs, h.groups, a)
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.groups = append(slices.Clip(h.groups), name)
	return &with
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clip(h.attrs)
	if src := r.Source(); h.opts.AddSource && src != nil {
		attrs = h.flatten(attrs, nil, slog.Any(slog.SourceKey, src))
	}
	r.Attrs(func(a slog.Attr) bool {
		attrs = h.flatten(attrs, h.groups, a)
		return true
	})
	return sys.Check("log", h.send(sys.LogFrame(int32(r.Level), r.Message, attrs)))
}

// flatten appends a to pairs; a group becomes one pair for each attribute in it.
func (h *handler) flatten(pairs guest.Pairs, groups []string, a slog.Attr) guest.Pairs {
	a.Value = a.Value.Resolve()
	if h.opts.ReplaceAttr != nil && a.Value.Kind() != slog.KindGroup {
		a = h.opts.ReplaceAttr(groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Equal(slog.Attr{}) {
		return pairs
	}
	if a.Value.Kind() != slog.KindGroup {
		name := strings.Join(append(slices.Clip(groups), a.Key), ".")
		return append(pairs, guest.Pair{Name: name, Value: text(a.Value)})
	}
	if a.Key != "" {
		groups = append(slices.Clip(groups), a.Key)
	}
	for _, member := range a.Value.Group() {
		pairs = h.flatten(pairs, groups, member)
	}
	return pairs
}
