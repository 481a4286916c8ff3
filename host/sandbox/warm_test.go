package sandbox_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/bench/alert"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// sample is an event for path, as if read from a file.
func sample(path string, calls ...sandbox.Call) sandbox.Sample {
	return sandbox.Sample{Name: "events" + path + ".json", Recording: "events" + path + ".recording.json",
		Event: abi.Event{Method: "POST", Path: path, Headers: abi.Pairs{{Name: "x-keep", Value: path[1:]}}}, Calls: calls}
}

// coldEngine has no snapshots yet, so that every warm-up is really run.
func coldEngine(t *testing.T) *sandbox.Engine {
	t.Helper()
	dir, code := t.TempDir(), filepath.Join(testmodule.Directory(t), "derived", "code")
	require.NoError(t, os.MkdirAll(code, 0o700))
	require.NoError(t, os.Symlink(code, filepath.Join(dir, "code")))
	return openEngine(t, sandbox.Options{Directory: dir})
}

// warmed prepares the guest of these tests. env is "NAME=value" or empty.
func warmed(t *testing.T, env string, samples ...sandbox.Sample) (*sandbox.Image, error) {
	t.Helper()
	s := settings()
	s.Name, s.Warmup = "warm", samples
	if name, value, ok := strings.Cut(env, "="); ok {
		s.Env = map[string]string{name: value}
	}
	s.Secret = func(string) ([]byte, error) { return []byte("s3cret"), nil }
	s.HTTP = func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		t.Error("a warm-up reached the network")
		return abi.HTTPHead{Kind: abi.Denied}, nil
	}
	if strings.HasSuffix(env, "spin") || len(samples) > 0 && samples[0].Event.Path == "/spin" {
		s.InitTimeout = time.Second
	}
	img, err := coldEngine(t).Prepare(t.Context(), testmodule.Build(t, "testdata/warm"), s)
	if err == nil {
		t.Cleanup(img.Close)
		require.Empty(t, img.Note())
	}
	return img, err
}

func TestSandboxesStartFromWhereTheWarmUpEnded(t *testing.T) {
	img, err := warmed(t, "", sample("/count"), sample("/count"), sample("/early"))
	require.NoError(t, err)
	inPlace := 0
	for range 3000 {
		res, stats, err := ask(t, img, abi.Event{Path: "/count"}, 5*time.Second)
		require.NoError(t, err)
		require.True(t, stats.Answered)
		require.Equal(t, "4 4194304 7", string(res.Body), "three samples, and the memory that was grown")
		if stats.DirtyPages >= 0 {
			inPlace++
		}
	}
	require.Equal(t, "first, second", text(t, img, "/history"))
	require.Contains(t, []int{0, 3000}, inPlace, "either all are restored in place, or none can be here")
}

// TestRequestsChangeFewPages holds what the SDK's habits are for: every changed page
// is copied back after the request.
func TestRequestsChangeFewPages(t *testing.T) {
	body := []byte(alert.Sample)
	for dir, tc := range map[string]struct {
		ev    abi.Event
		pages int
	}{
		"../../modules/hello": {abi.Event{Method: "GET", Path: "/hello", Headers: abi.Pairs{{Name: "host", Value: "localhost"}, {Name: "accept", Value: "*/*"}}}, 8},
		"../../bench/w2":      {abi.Event{Method: "POST", Path: "/", ContentType: "application/json", Body: body}, 32},
	} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s := settings()
			s.Warmup = []sandbox.Sample{{Name: "sample", Event: tc.ev}}
			img, err := coldEngine(t).Prepare(t.Context(), testmodule.Build(t, dir), s)
			require.NoError(t, err)
			defer img.Close()
			for range 10 {
				_, stats, err := ask(t, img, tc.ev, 5*time.Second)
				require.NoError(t, err)
				require.LessOrEqual(t, stats.DirtyPages, tc.pages)
			}
		})
	}
}

// TestAMebibyteIsFreeForRequests: a sandbox whose memory grows is lost.
func TestAMebibyteIsFreeForRequests(t *testing.T) {
	img, err := warmed(t, "", sample("/count"))
	require.NoError(t, err)
	used := func(size string) int64 {
		_, stats, err := ask(t, img, abi.Event{Path: "/allocate", Body: []byte(size)}, 5*time.Second)
		require.NoError(t, err)
		return stats.MemoryUsed
	}
	require.Equal(t, used("0"), used(strconv.Itoa(1<<20)))
	require.Less(t, used("0"), used(strconv.Itoa(8<<20)))
}

// TestASmallMemoryIsNotUsedUpByTheWarmUp deploys the smallest function with little
// more than its initialisation takes.
func TestASmallMemoryIsNotUsedUpByTheWarmUp(t *testing.T) {
	s := settings()
	s.MemoryMax = 4 << 20
	img, err := coldEngine(t).Prepare(t.Context(), testmodule.Build(t, "../../modules/hello"), s)
	require.NoError(t, err)
	defer img.Close()
	_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
	require.NoError(t, err)
}

func TestAfterAWarmUpRandomNumbersAreFreshInEveryRequest(t *testing.T) {
	img, err := warmed(t, "", sample("/shared"))
	require.NoError(t, err)
	seen := map[string]bool{}
	for range 2000 {
		v := text(t, img, "/shared")
		require.False(t, seen[v])
		seen[v] = true
	}
}

// A generator that main made stands in the snapshot; guest.OnRestore is for it.
func TestAGeneratorOfTheAuthorsRepeatsUnlessItIsMadeOnRestore(t *testing.T) {
	repeats := func(env string) bool {
		img, err := warmed(t, env, sample("/own"))
		require.NoError(t, err)
		first := text(t, img, "/own")
		return text(t, img, "/own") == first
	}
	require.True(t, repeats(""))
	require.False(t, repeats("RESTORE=yes"))
}

func TestOnRestoreRunsBeforeEachHandlerInOrder(t *testing.T) {
	img, err := warmed(t, "RESTORE=yes", sample("/count"))
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, "first, second, restored with 0, restored with 1", text(t, img, "/history"))
	}
	img, err = warmed(t, "RESTORE=panic")
	require.NoError(t, err)
	_, _, err = ask(t, img, abi.Event{Path: "/count"}, 5*time.Second)
	require.Equal(t, abi.GuestError, function.KindOf(err))
	require.ErrorContains(t, err, "cannot make a generator")
}

// TestASamplesStringsLiveOn: what decodes an event borrows its bytes.
func TestASamplesStringsLiveOn(t *testing.T) {
	one, two := sample("/keep"), sample("/keep")
	one.Event.Headers[0].Value, two.Event.Headers[0].Value = "one", "two"
	img, err := warmed(t, "", one, two)
	require.NoError(t, err)
	require.Equal(t, "2 true true", text(t, img, "/kept"))
}

func TestAWarmUpByCodeHasNoCapabilities(t *testing.T) {
	img, err := warmed(t, "WARM=refused")
	require.NoError(t, err)
	require.Equal(t, "first, second, denied, denied", text(t, img, "/history"))
}

func TestASampleHasNoSecretsAndRecordedAnswersOnly(t *testing.T) {
	answer := sandbox.Call{Method: "GET", URL: "https://example.test/a?b=c", Status: 203, Headers: abi.Pairs{{Name: "x-from", Value: "tape"}}, Body: []byte("one")}
	again := answer
	again.Body = []byte("two")
	other := sandbox.Call{Method: "POST", URL: answer.URL, Status: 500}
	three := sample("/fetch", other, answer, again)
	three.Event.Body = []byte(answer.URL)
	img, err := warmed(t, "", three, sample("/secret"))
	require.NoError(t, err)
	require.Equal(t, "first, second, 203 tape one, denied", text(t, img, "/history"))

	unknown := sample("/fetch", other)
	unknown.Event.Body = []byte(answer.URL)
	img, err = warmed(t, "", unknown)
	require.NoError(t, err)
	refusal := "GET https://example.test/a?b=c has no answer left in events/fetch.recording.json; add one"
	require.Contains(t, text(t, img, "/history"), refusal)
}

// TestRecordedAnswersAreUsedOnceInOrder asks with a module that makes its calls
// by hand, and sees what the operator is told: a line for each, up to a limit.
func TestRecordedAnswersAreUsedOnceInOrder(t *testing.T) {
	for calls, want := range map[int]int{1: 0, 2: 1, 40: 16} {
		var mu sync.Mutex
		var told []string
		s := capable()
		s.Log = func(_ string, rec abi.LogRecord) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, rec.Message)
		}
		s.Warmup = []sandbox.Sample{{Name: "a.json", Recording: "a.recording.json",
			Calls: []sandbox.Call{{Method: "GET", URL: "https://example.test/", Status: 200}}}}
		steps := []step{take(anyResult)}
		for range calls {
			steps = append(steps, call(abi.ImportHTTPStart, anyResult, httpAt, int32(len(httpFrame))))
		}
		img, err := coldEngine(t).Prepare(t.Context(), handmade{serve: append(steps, respond())}.bytes(), s)
		require.NoError(t, err)
		img.Close()
		require.Len(t, told, want)
		for _, line := range told {
			require.Equal(t, "warm-up with a.json: GET https://example.test/ has no answer left in a.recording.json; add one", line)
		}
	}
}

// TestWhatASampleLeftOpenClosesNothing: the guest's collector closes it, in whatever
// event it runs, and that event has calls of its own.
func TestWhatASampleLeftOpenClosesNothing(t *testing.T) {
	up := upstream(t)
	s := settings()
	s.HTTP = direct
	leaves := sample("/leave", sandbox.Call{Method: "GET", URL: up.URL + "/slow", Status: 200, Body: []byte("never read")})
	leaves.Event.Body = []byte(up.URL)
	s.Warmup = []sandbox.Sample{leaves}
	img, err := coldEngine(t).Prepare(t.Context(), testmodule.Build(t, "testdata/netprobe"), s)
	require.NoError(t, err)
	t.Cleanup(img.Close)
	res, _, err := ask(t, img, abi.Event{Path: "/collect", Body: []byte(up.URL)}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, "200 3145728 yes", string(res.Body))
}

func TestWarmUpsThatFailTheDeploy(t *testing.T) {
	for name, tc := range map[string]struct {
		env, sample string
		kind        abi.Kind
		text        string
	}{
		"code that panics":          {env: "WARM=panic", kind: abi.Exited, text: "no cache today"},
		"code that exits":           {env: "WARM=exit", kind: abi.Exited, text: "status 4"},
		"code that never ends":      {env: "WARM=spin", kind: abi.Deadline, text: "raise init_timeout"},
		"a sample that never ends":  {sample: "/spin", kind: abi.Deadline, text: "raise init_timeout"},
		"a sample that exits":       {sample: "/exit", kind: abi.Exited, text: "status 5"},
		"a sample with an error":    {sample: "/error", kind: abi.GuestError, text: "no such sample"},
		"a sample answered by 503":  {sample: "/unavailable", kind: abi.GuestError, text: "answered with status 503"},
		"a sample answered by 404":  {sample: "/missing"},
		"a trigger is not confused": {sample: "/what"},
	} {
		t.Run(name, func(t *testing.T) {
			var samples []sandbox.Sample
			what := "warm up with spore_warm: "
			if tc.sample != "" {
				samples, what = append(samples, sample(tc.sample)), "warm up with events"+tc.sample+".json: "
			}
			_, err := warmed(t, tc.env, samples...)
			require.Equal(t, tc.kind, function.KindOf(err), "%v", err)
			if tc.kind != abi.None {
				require.ErrorContains(t, err, what)
				require.ErrorContains(t, err, tc.text)
			}
		})
	}
}

// TestASampleIsJudgedByItsAnswer has a guest go on after an answer that fails the
// deploy, up to where the host hands it on.
func TestASampleIsJudgedByItsAnswer(t *testing.T) {
	frame := abi.AppendResult(nil, &abi.Result{Status: 503})
	serve := []step{take(anyResult), call(abi.ImportSendResponse, 0, resultAt, int32(len(frame)))}
	for name, steps := range map[string][]step{
		"it ends":  serve,
		"it calls": append(serve[:2:2], call(abi.ImportLog, 0, logAt, int32(len(logFrame)))),
	} {
		t.Run(name, func(t *testing.T) {
			s := capable()
			s.Warmup = []sandbox.Sample{sample("/a")}
			_, err := coldEngine(t).Prepare(t.Context(), handmade{data: map[uint32][]byte{resultAt: frame}, serve: steps}.bytes(), s)
			require.Equal(t, abi.GuestError, function.KindOf(err), "%v", err)
			require.ErrorContains(t, err, "answered with status 503")
		})
	}
}

// TestCallsInSporeWarm drives the calls of abi/README.md 7.4 by hand.
func TestCallsInSporeWarm(t *testing.T) {
	denied, outOfOrder := abi.Denied.Errno(), abi.OutOfOrder.Errno()
	for name, tc := range map[string]struct {
		step step
		want abi.Kind
	}{
		"a log line":         {call(abi.ImportLog, 0, logAt, int32(len(logFrame))), abi.None},
		"a secret":           {call(abi.ImportSecretGet, denied, nameAt, 5, 0, 99), abi.None},
		"an outbound call":   {call(abi.ImportHTTPStart, denied, httpAt, int32(len(httpFrame))), abi.None},
		"an operation":       {call(abi.ImportKVStart, denied, kvAt, int32(len(kvFrame))), abi.None},
		"memory growth":      {grow(1, 1), abi.None},
		"a request":          {take(anyResult), abi.OutOfOrder},
		"a body":             {call(abi.ImportBodyRead, outOfOrder, 0, 0, 0), abi.OutOfOrder},
		"an answer":          {respond().as(outOfOrder), abi.OutOfOrder},
		"an error":           {failWith().as(outOfOrder), abi.OutOfOrder},
		"a trap":             {raw(0x00), abi.Trapped},
		"an exit":            {call(procExit, noResult, 0), abi.Exited},
		"a loop without end": {raw(0x03, 0x40, 0x0c, 0, 0x0b), abi.Deadline},
	} {
		t.Run(name, func(t *testing.T) {
			s := capable()
			if tc.want == abi.Deadline {
				s.InitTimeout = 200 * time.Millisecond
			}
			guest := handmade{warm: []step{store(0x6000, 77), tc.step}, serve: []step{load(0x6000, 77), store(0x6000, 78), take(anyResult), respond()}}
			img, err := coldEngine(t).Prepare(t.Context(), guest.bytes(), s)
			require.Equal(t, tc.want, function.KindOf(err), "%v", err)
			if err != nil {
				require.ErrorContains(t, err, "warm up with spore_warm: ")
				return
			}
			defer img.Close()
			for range 3 {
				_, _, err := ask(t, img, abi.Event{}, time.Second)
				require.NoError(t, err)
			}
		})
	}
}

// TestASampleOutOfOrderFailsTheDeploy: misuse is a bug there as in a request.
func TestASampleOutOfOrderFailsTheDeploy(t *testing.T) {
	s := capable()
	s.Warmup = []sandbox.Sample{{Name: "a.json", Recording: "a.recording.json"}}
	for _, steps := range [][]step{{respond().as(abi.OutOfOrder.Errno())}, {take(anyResult)}, {take(anyResult), raw(0x00)}} {
		_, err := coldEngine(t).Prepare(t.Context(), handmade{serve: steps}.bytes(), s)
		require.ErrorContains(t, err, "warm up with a.json: ")
	}
}

// TestACommandHasNothingToWarmUp: it starts anew in every request.
func TestACommandHasNothingToWarmUp(t *testing.T) {
	s := settings()
	s.Warmup = []sandbox.Sample{sample("/count")}
	_, err := openEngine(t, sandbox.Options{}).Prepare(t.Context(), testmodule.Build(t, "testdata/command"), s)
	require.Equal(t, abi.Invalid, function.KindOf(err))
	require.ErrorContains(t, err, "take warmup out of functions.toml")
}

// TestTheSnapshotFileBelongsToItsSamples counts initialisations.
func TestTheSnapshotFileBelongsToItsSamples(t *testing.T) {
	e, wasm := coldEngine(t), testmodule.Build(t, "testdata/probe")
	var n *atomic.Int64
	deploy := func(samples ...sandbox.Sample) {
		s := settings()
		s.Warmup = samples
		n = inits(&s)
		img, err := e.Prepare(t.Context(), wasm, s)
		require.NoError(t, err)
		img.Close()
	}
	for _, tc := range []struct {
		samples []sandbox.Sample
		want    int64
	}{
		{nil, 1}, {nil, 0},
		{[]sandbox.Sample{sample("/count")}, 1}, {[]sandbox.Sample{sample("/count")}, 0},
		{[]sandbox.Sample{sample("/count", sandbox.Call{URL: "https://example.test/"})}, 1},
		{[]sandbox.Sample{sample("/count"), sample("/random")}, 1},
	} {
		deploy(tc.samples...)
		require.Equal(t, tc.want, n.Load())
	}
}
