package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/telemetry"
)

type invokerFunc func(ev *abi.Event) (function.Stats, error)

func (f invokerFunc) Invoke(_ context.Context, _ function.Ref, ev *abi.Event, _ function.Reply) (function.Stats, error) {
	return f(ev)
}

func served() function.Stats {
	return function.Stats{Ref: function.Ref{Name: "stats", Version: 7}, Duration: 12345678, Restore: 310 * time.Microsecond, CPU: 3250 * time.Microsecond,
		MemoryMax: 64 << 20, MemoryUsed: 4<<20 + 1, DirtyPages: 23, Answered: true}
}

func TestReportHasLambdasExactForm(t *testing.T) {
	lambda := regexp.MustCompile(`^REPORT RequestId: (\S+)\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\tMax Memory Used: (\d+) MB\t`)
	got := telemetry.Report("abc", served(), nil)
	require.Equal(t, []string{"abc", "12.35", "13", "64", "5"}, lambda.FindStringSubmatch(got)[1:])
	require.True(t, strings.HasSuffix(got, "\tRestore Duration: 0.31 ms\tCPU Time: 3.25 ms\tDirty Pages: 23\t"), got)
	require.Contains(t, telemetry.Report("abc", served(), &function.Error{Kind: abi.Deadline}), "\tStatus: timeout\t")
	require.Contains(t, telemetry.Report("abc", served(), errors.New("x")), "\tStatus: error\t")
	uncounted := served()
	uncounted.DirtyPages = -1
	require.NotContains(t, telemetry.Report("abc", uncounted, nil), "Dirty Pages")
	uncounted.DirtyPages = 0
	require.Contains(t, telemetry.Report("abc", uncounted, nil), "\tDirty Pages: 0\t")
}

func TestEveryInvocationIsReportedWithItsCause(t *testing.T) {
	for name, tc := range map[string]struct {
		stats function.Stats
		err   error
		want  []string
	}{
		"an answer":             {served(), nil, []string{"REPORT RequestId: r-1"}},
		"a timeout":             {served(), &function.Error{Kind: abi.Deadline}, []string{"Task timed out after", `"answered":true`, `"kind":"deadline"`, "REPORT RequestId: r-1"}},
		"an error of the guest": {served(), &function.Error{Kind: abi.GuestError, Err: errors.New("errorString: no such alert")}, []string{"no such alert", "REPORT RequestId: r-1"}},
		"a refusal":             {function.Stats{}, &function.Error{Kind: abi.Overloaded}, []string{"invocation refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			in := telemetry.Invoker{Log: slog.New(slog.NewJSONHandler(&out, nil)), Next: invokerFunc(func(ev *abi.Event) (function.Stats, error) {
				ev.RequestID = "overwritten" // as a trigger's reused buffer would be
				return tc.stats, tc.err
			})}
			_, err := in.Invoke(t.Context(), function.Ref{Name: "stats"}, &abi.Event{RequestID: "r-1"}, nil)
			require.Equal(t, tc.err, err)
			for _, want := range tc.want {
				require.Contains(t, out.String(), want)
			}
			require.NotContains(t, out.String(), "overwritten")
		})
	}
}

// stuck is an output that accepts nothing until it is released.
type stuck struct {
	release chan struct{}
	bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.Buffer.Write(p)
}

func TestSlowOutputDropsAndCountsInsteadOfWaiting(t *testing.T) {
	out := &stuck{release: make(chan struct{})}
	log, w := telemetry.NewLogger(out, func(to io.Writer) slog.Handler { return slog.NewJSONHandler(to, nil) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	const written = 30_000
	for range written {
		log.Info("line") // returns although nobody reads
	}
	close(out.release)
	cancel()
	require.NoError(t, <-done)
	lines, dropped := 0, 0
	for line := range strings.Lines(out.String()) {
		var rec struct {
			Msg   string
			Count int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &rec), "every line is JSON, also the notice")
		if rec.Msg == "line" {
			lines++
		}
		dropped += rec.Count
	}
	require.Positive(t, dropped)
	require.Equal(t, written, lines+dropped, "what is not written is counted")
}
