package sandbox_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

func openEngine(tb testing.TB, opt sandbox.Options) *sandbox.Engine {
	tb.Helper()
	if opt.Directory == "" {
		opt.Directory = filepath.Join(testmodule.Directory(tb), "derived")
	}
	e, err := sandbox.Open(opt)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

func settings() sandbox.Settings {
	return sandbox.Settings{Name: "probe", MemoryMax: 64 << 20, InitTimeout: 10 * time.Second}
}

func prepare(tb testing.TB, s sandbox.Settings) *sandbox.Image {
	tb.Helper()
	img, err := openEngine(tb, sandbox.Options{}).Prepare(tb.Context(), testmodule.Build(tb, "testdata/probe"), s)
	require.NoError(tb, err)
	require.Empty(tb, img.Note())
	tb.Cleanup(img.Close)
	return img
}

// ask serves one event in a new sandbox.
func ask(tb testing.TB, img *sandbox.Image, ev abi.Event, limit time.Duration) (abi.Result, function.Stats, error) {
	tb.Helper()
	sb, err := img.Open(tb.Context())
	require.NoError(tb, err)
	defer sb.Close()
	var got abi.Result
	end := time.Now().Add(limit)
	ev.DeadlineMS = end.UnixMilli()
	stats, err := sb.Serve(tb.Context(), &ev, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result) { got = *res })
	return got, stats, err
}

func text(tb testing.TB, img *sandbox.Image, path string) string {
	tb.Helper()
	res, _, err := ask(tb, img, abi.Event{Path: path, RequestID: "r"}, 5*time.Second)
	require.NoError(tb, err)
	return string(res.Body)
}

func TestEveryRequestStartsFromTheSnapshot(t *testing.T) {
	img := prepare(t, settings())
	for range 1000 {
		require.Equal(t, "1", text(t, img, "/count"))
	}
}

func TestRestoresNeverDrawTheSameRandomValue(t *testing.T) {
	img := prepare(t, settings())
	seen := map[string]bool{}
	for range 10_000 {
		for i, v := range strings.Fields(text(t, img, "/random")) {
			key := fmt.Sprint(i, v)
			require.False(t, seen[key], "value %d repeats", i)
			seen[key] = true
		}
	}
}

func TestKindOfFailure(t *testing.T) {
	img := prepare(t, settings())
	for path, want := range map[string]abi.Kind{
		"/spin":     abi.Deadline,
		"/sleep":    abi.Deadline,
		"/exit":     abi.Exited,
		"/deadlock": abi.Exited,
		"/grow":     abi.OutOfMemory,
		"/recurse":  abi.OutOfMemory,
		"/panic":    abi.GuestError,
		"/error":    abi.GuestError,
		"/large":    abi.GuestError,
	} {
		t.Run(path[1:], func(t *testing.T) {
			limit := 5 * time.Second
			if want == abi.Deadline {
				limit = 200 * time.Millisecond
			}
			start := time.Now()
			_, stats, err := ask(t, img, abi.Event{Path: path}, limit)
			require.Equal(t, want, function.KindOf(err), "%v", err)
			require.False(t, stats.Answered)
			require.Less(t, time.Since(start), limit+time.Second)
			require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
			t.Log(err)
		})
	}
}

func TestConcurrentSandboxesDoNotMeet(t *testing.T) {
	img := prepare(t, settings())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				require.Equal(t, "1", text(t, img, "/count"))
			}
		})
	}
	wg.Wait()
}

func TestPathsOfTheProbe(t *testing.T) {
	img := prepare(t, settings())
	require.Equal(t, "45", text(t, img, "/goroutines"))
	nap, err := time.ParseDuration(text(t, img, "/nap"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, nap, 20*time.Millisecond)
}

func TestClosedImageHandsOutNothing(t *testing.T) {
	img := prepare(t, settings())
	img.Close()
	_, err := img.Open(context.Background())
	require.Equal(t, abi.NotReady, function.KindOf(err))
}
