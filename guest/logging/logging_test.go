package logging

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
)

// sink keeps what a handler sends, as the host would decode it.
type sink struct {
	mu      sync.Mutex
	records []abi.LogRecord
	tooLong int
}

func (s *sink) send(frame []byte) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(frame) > abi.MaxLogRecord {
		s.tooLong++
		return abi.TooLarge.Errno()
	}
	var rec abi.LogRecord
	if err := rec.Decode(bytes.Clone(frame)); err != nil {
		return abi.Invalid.Errno()
	}
	s.records = append(s.records, rec)
	return 0
}

func TestTheHandlerConformsToSlog(t *testing.T) {
	var s *sink
	newHandler := func(*testing.T) slog.Handler {
		s = new(sink)
		return newHandler(nil, s.send)
	}
	slogtest.Run(t, newHandler, func(t *testing.T) map[string]any {
		require.Len(t, s.records, 1)
		rec := s.records[0]
		tree := map[string]any{slog.LevelKey: rec.Level, slog.MessageKey: rec.Message}
		for _, p := range rec.Attrs {
			put(tree, strings.Split(p.Name, "."), p.Value)
		}
		require.NotContains(t, tree, slog.TimeKey)
		// The host stamps the time, so slogtest is told that it is there.
		if !strings.HasSuffix(t.Name(), "/zero-time") {
			tree[slog.TimeKey] = "the host's"
		}
		return tree
	})
}

func put(tree map[string]any, path []string, value string) {
	if len(path) == 1 {
		tree[path[0]] = value
		return
	}
	branch, ok := tree[path[0]].(map[string]any)
	if !ok {
		branch = map[string]any{}
		tree[path[0]] = branch
	}
	put(branch, path[1:], value)
}

type user struct{ Name string }

func (u user) LogValue() slog.Value { return slog.GroupValue(slog.String("name", u.Name)) }

type bomb struct{}

func (bomb) MarshalText() ([]byte, error) { panic("tick") }

type refusing struct{}

func (refusing) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

func TestValuesReadLikeThoseOfTheTextHandler(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	tests := []struct {
		name string
		attr slog.Attr
		want guest.Pairs
	}{
		{"a string with spaces is not quoted", slog.String("k", `a "b" c`), guest.Pairs{{Name: "k", Value: `a "b" c`}}},
		{"an int", slog.Int("k", -3), guest.Pairs{{Name: "k", Value: "-3"}}},
		{"a float", slog.Float64("k", 1.5), guest.Pairs{{Name: "k", Value: "1.5"}}},
		{"a bool", slog.Bool("k", true), guest.Pairs{{Name: "k", Value: "true"}}},
		{"a duration", slog.Duration("k", 1500*time.Millisecond), guest.Pairs{{Name: "k", Value: "1.5s"}}},
		{"a time", slog.Time("k", at), guest.Pairs{{Name: "k", Value: "2026-01-02T03:04:05.006Z"}}},
		{"bytes", slog.Any("k", []byte("raw")), guest.Pairs{{Name: "k", Value: "raw"}}},
		{"an error", slog.Any("k", errors.New("boom")), guest.Pairs{{Name: "k", Value: "boom"}}},
		{"nil", slog.Any("k", nil), guest.Pairs{{Name: "k", Value: "<nil>"}}},
		{"a struct", slog.Any("k", struct{ A int }{1}), guest.Pairs{{Name: "k", Value: "{A:1}"}}},
		{"a text marshaler", slog.Any("k", netip.MustParseAddr("::1")), guest.Pairs{{Name: "k", Value: "::1"}}},
		{"a text marshaler that fails", slog.Any("k", refusing{}), guest.Pairs{{Name: "k", Value: "!ERROR: no text"}}},
		{"a text marshaler that panics", slog.Any("k", bomb{}), guest.Pairs{{Name: "k", Value: "!PANIC: tick"}}},
		{"a log valuer that becomes a group", slog.Any("u", user{"ada"}), guest.Pairs{{Name: "u.name", Value: "ada"}}},
		{"groups in groups", slog.Group("a", slog.Group("b", slog.Int("c", 1)), slog.Int("d", 2)),
			guest.Pairs{{Name: "a.b.c", Value: "1"}, {Name: "a.d", Value: "2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sink)
			slog.New(newHandler(nil, s.send)).Warn("msg", tt.attr)
			require.Equal(t, []abi.LogRecord{{Level: 4, Message: "msg", Attrs: tt.want}}, s.records)
		})
	}
}

func TestOptionsAreHonoured(t *testing.T) {
	s := new(sink)
	var seen []string
	log := slog.New(newHandler(&slog.HandlerOptions{
		Level:     slog.LevelDebug,
		AddSource: true,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			seen = append(seen, strings.Join(append(groups, a.Key), "/"))
			switch a.Key {
			case "password":
				return slog.Attr{}
			case "n":
				return slog.Int("m", 7)
			}
			return a
		},
	}, s.send))
	log.With("password", "x").WithGroup("g").Debug("msg", "password", "y", "n", 1)
	require.Len(t, s.records, 1)
	require.EqualValues(t, -4, s.records[0].Level)
	require.Equal(t, []string{"password", "source", "g/password", "g/n"}, seen)
	require.Len(t, s.records[0].Attrs, 2)
	require.Contains(t, s.records[0].Attrs.Get("source"), "logging_test.go:")
	require.Equal(t, "7", s.records[0].Attrs.Get("g.m"))
}

func TestRecordsBelowTheLevelAreNotSent(t *testing.T) {
	s := new(sink)
	slog.New(newHandler(nil, s.send)).Debug("quiet")
	require.Empty(t, s.records)
}

func TestHandlersMadeFromOneAnotherDoNotMix(t *testing.T) {
	s := new(sink)
	base := slog.New(newHandler(nil, s.send)).With("a", 1, "b", 2, "c", 3).WithGroup("g")
	one, two := base.With("x", 1), base.With("y", 2)
	two.Info("two")
	one.Info("one")
	require.Equal(t, "g.y", s.records[0].Attrs[3].Name)
	require.Equal(t, "g.x", s.records[1].Attrs[3].Name)
}

func TestARecordAlwaysFits(t *testing.T) {
	many := make([]any, 0, 2*abi.MaxPairs)
	for range 2 * abi.MaxPairs {
		many = append(many, slog.Int("k", 1))
	}
	tests := []struct {
		name    string
		message string
		attrs   []any
		pairs   int
		dropped string
	}{
		{"a huge message is clipped", strings.Repeat("m", 1<<20), []any{"k", "v"}, 1, ""},
		{"what follows a huge value is counted", "m", []any{"a", "1", "b", strings.Repeat("v", 1<<20), "c", "3"}, 2, "2"},
		{"attributes over the limit are counted", "m", many, abi.MaxPairs - 1, "1002"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sink)
			slog.New(newHandler(nil, s.send)).Info(tt.message, tt.attrs...)
			require.Zero(t, s.tooLong)
			require.Len(t, s.records, 1)
			require.Len(t, s.records[0].Attrs, tt.pairs)
			require.Equal(t, tt.dropped, s.records[0].Attrs.Get("dropped"))
		})
	}
}

func TestOneHandlerServesManyGoroutines(t *testing.T) {
	s := new(sink)
	log := slog.New(newHandler(nil, s.send)).With("a", 1).WithGroup("g")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.With("b", 2).Info("msg", "c", 3)
			}
		})
	}
	wg.Wait()
	require.Len(t, s.records, 800)
	for _, rec := range s.records {
		require.Equal(t, guest.Pairs{{Name: "a", Value: "1"}, {Name: "g.b", Value: "2"}, {Name: "g.c", Value: "3"}}, rec.Attrs)
	}
}

func TestOutsideASandboxARecordGoesNowhere(t *testing.T) {
	err := New(nil).Handle(t.Context(), slog.Record{})
	require.Equal(t, abi.Denied, guest.KindOf(err))
}
