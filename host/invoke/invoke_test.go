package invoke_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/invoke"
	"spore/host/sandbox"
)

func limits() function.Limits {
	return function.Limits{Memory: 64 << 20, Timeout: 2 * time.Second, ResponseTimeout: time.Second, InitTimeout: 10 * time.Second, Concurrency: 2}
}

// live prepares the sandbox package's probe as a version of function "probe".
func live(t *testing.T, e *sandbox.Engine, version int) invoke.Live {
	t.Helper()
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "../sandbox/testdata/probe"),
		sandbox.Settings{Name: "probe", MemoryMax: limits().Memory, InitTimeout: limits().InitTimeout})
	require.NoError(t, err)
	return invoke.Live{Ref: function.Ref{Name: "probe", Version: version}, Image: img, Limits: limits()}
}

func dispatcher(t *testing.T, opt invoke.Options) (*invoke.Dispatcher, *sandbox.Engine) {
	t.Helper()
	e, err := sandbox.Open(sandbox.Options{Directory: filepath.Join(testmodule.Directory(t), "derived")})
	require.NoError(t, err)
	d := invoke.New(opt)
	t.Cleanup(d.Close)
	return d, e
}

func ask(t *testing.T, d *invoke.Dispatcher, ref function.Ref, path string) (string, function.Stats, error) {
	t.Helper()
	var body string
	stats, err := d.Invoke(t.Context(), ref, &abi.Event{Path: path}, func(res *abi.Result, _ bool) { body = string(res.Body) })
	return body, stats, err
}

func TestOnlyWhatIsLiveIsServed(t *testing.T) {
	d, e := dispatcher(t, invoke.Options{Concurrency: 8})
	_, _, err := ask(t, d, function.Ref{Name: "probe"}, "/count")
	require.Equal(t, abi.NotFound, function.KindOf(err))
	d.Replace([]invoke.Live{live(t, e, 3)})
	for _, ref := range []function.Ref{{Name: "probe"}, {Name: "probe", Version: 3}} {
		body, stats, err := ask(t, d, ref, "/count")
		require.NoError(t, err)
		require.Equal(t, "1", body)
		require.Equal(t, function.Ref{Name: "probe", Version: 3}, stats.Ref)
	}
	_, _, err = ask(t, d, function.Ref{Name: "probe", Version: 2}, "/count")
	require.Equal(t, abi.NotFound, function.KindOf(err))
	d.Replace(nil)
	_, _, err = ask(t, d, function.Ref{Name: "probe"}, "/count")
	require.Equal(t, abi.NotFound, function.KindOf(err))
}

// hold starts n invocations that last until their response deadline and waits
// until they run.
func hold(t *testing.T, d *invoke.Dispatcher, n int) (wait func()) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, _, err := ask(t, d, function.Ref{Name: "probe"}, "/sleep")
			if function.KindOf(err) != abi.Deadline {
				t.Errorf("kind %v", function.KindOf(err))
			}
		})
	}
	require.Eventually(t, func() bool { return d.Running() == n }, 5*time.Second, time.Millisecond)
	return wg.Wait
}

func TestAFunctionsOwnLimitIsToldFromTheHosts(t *testing.T) {
	for name, tc := range map[string]struct {
		host int
		own  bool
	}{
		"the function's limit": {8, true},
		"the host's limit":     {2, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := dispatcher(t, invoke.Options{Concurrency: tc.host})
			d.Replace([]invoke.Live{live(t, e, 1)})
			wait := hold(t, d, 2)
			_, stats, err := ask(t, d, function.Ref{Name: "probe"}, "/count")
			require.Equal(t, abi.Overloaded, function.KindOf(err))
			require.Equal(t, 2, d.Running(), "refused while the others still ran")
			require.Zero(t, stats.Duration)
			var own *function.ConcurrencyError
			require.Equal(t, tc.own, errors.As(err, &own))
			wait()
			body, _, err := ask(t, d, function.Ref{Name: "probe"}, "/count")
			require.NoError(t, err)
			require.Equal(t, "1", body)
		})
	}
}

func TestEventsCarryVersionAndDeadlineInTheGivenClock(t *testing.T) {
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	d, e := dispatcher(t, invoke.Options{Concurrency: 8, Now: func() time.Time { return now }})
	d.Replace([]invoke.Live{live(t, e, 4)})
	ev := &abi.Event{Path: "/count"}
	_, err := d.Invoke(t.Context(), function.Ref{Name: "probe"}, ev, func(*abi.Result, bool) {})
	require.NoError(t, err)
	require.Equal(t, "probe", ev.Function)
	require.Equal(t, "4", ev.Version)
	require.Equal(t, now.Add(2*time.Second).UnixMilli(), ev.DeadlineMS)
	require.Equal(t, now.Add(time.Second).UnixMilli(), ev.ResponseDeadlineMS)
}

// TestReplaceUnderLoad is the hammer: readers never fail while the table turns. A
// reader may stand behind several versions being loaded, so its deadline is far away.
func TestReplaceUnderLoad(t *testing.T) {
	d, e := dispatcher(t, invoke.Options{Concurrency: 100})
	wide := func(l invoke.Live) invoke.Live {
		l.Limits.Concurrency = 100
		l.Limits.Timeout, l.Limits.ResponseTimeout = time.Minute, time.Minute
		return l
	}
	d.Replace([]invoke.Live{wide(live(t, e, 1))})
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				body, _, err := ask(t, d, function.Ref{Name: "probe"}, "/count")
				if err != nil || body != "1" {
					t.Errorf("%q, %v", body, err)
					return
				}
			}
		})
	}
	for version := 2; version <= 20; version++ {
		d.Replace([]invoke.Live{wide(live(t, e, version))})
	}
	cancel()
	readers.Wait()
	require.Zero(t, d.Running())
}

// swapping is the context of an event whose version is replaced between looking it up and
// opening it: asking for the deadline is the first that is done in between.
type swapping struct {
	context.Context
	swap func()
}

func (s swapping) Deadline() (time.Time, bool) {
	s.swap()
	return s.Context.Deadline()
}

func TestAnEventThatMeetsASwapAsksTheNewTable(t *testing.T) {
	for name, tc := range map[string]struct {
		next []int // versions
		kind abi.Kind
	}{
		"another version": {[]int{2}, abi.None},
		"none":            {nil, abi.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := dispatcher(t, invoke.Options{Concurrency: 8})
			var next []invoke.Live
			for _, version := range tc.next {
				next = append(next, live(t, e, version))
			}
			d.Replace([]invoke.Live{live(t, e, 1)})
			ctx := swapping{t.Context(), sync.OnceFunc(func() { d.Replace(next) })}
			stats, err := d.Invoke(ctx, function.Ref{Name: "probe"}, &abi.Event{Path: "/count"}, func(*abi.Result, bool) {})
			require.Equal(t, tc.kind, function.KindOf(err), "%v", err)
			if err == nil {
				require.Equal(t, 2, stats.Ref.Version)
			}
			require.Zero(t, d.Running())
		})
	}
}

// TestTheDeadlineCountsWhileAFunctionIsBroughtIntoMemory, here by a compiler that hangs.
func TestTheDeadlineCountsWhileAFunctionIsBroughtIntoMemory(t *testing.T) {
	dir := t.TempDir()
	e, err := sandbox.Open(sandbox.Options{Directory: dir})
	require.NoError(t, err)
	live(t, e, 1).Image.Close()
	e, err = sandbox.Open(sandbox.Options{Directory: dir, Compiler: []string{"sh", "-c", "exec sleep 3600"}})
	require.NoError(t, err)
	d := invoke.New(invoke.Options{Concurrency: 8})
	t.Cleanup(d.Close)
	d.Replace([]invoke.Live{live(t, e, 1)})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "code")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "code"), 0o700))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = d.Invoke(ctx, function.Ref{Name: "probe"}, &abi.Event{Path: "/count"}, func(*abi.Result, bool) {})
	require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
	require.NoError(t, ctx.Err())
}
