package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	opt.Prove = true
	e, err := sandbox.Open(opt)
	require.NoError(tb, err)
	return e
}

func settings() sandbox.Settings {
	return sandbox.Settings{Name: "probe", MemoryMax: 64 << 20, InitTimeout: 10 * time.Second}
}

// prepare returns the image of testdata/probe.
func prepare(tb testing.TB, s sandbox.Settings) *sandbox.Image {
	tb.Helper()
	img := prepareModule(tb, testmodule.Build(tb, "testdata/probe"), s)
	require.Empty(tb, img.Note())
	return img
}

// prepareModule returns the image of wasm, which the test closes.
func prepareModule(tb testing.TB, wasm []byte, s sandbox.Settings) *sandbox.Image {
	tb.Helper()
	img, err := openEngine(tb, sandbox.Options{}).Prepare(tb.Context(), wasm, s)
	require.NoError(tb, err)
	tb.Cleanup(img.Close)
	return img
}

// kept is an answer that outlives its event: what a reply is given is borrowed.
func kept(res *abi.Result) abi.Result {
	var own abi.Result
	if err := own.Decode(abi.AppendResult(nil, res)); err != nil {
		panic(err)
	}
	return own
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
	stats, err := sb.Serve(tb.Context(), &ev, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) { got = kept(res) })
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

func TestS4RestoresNeverDrawTheSameRandomValue(t *testing.T) {
	img := prepare(t, settings())
	restores := times(10_000, 1_000_000)
	seen := map[int]map[string]bool{}
	for range restores {
		for i, v := range strings.Fields(text(t, img, "/random")) {
			if seen[i] == nil {
				seen[i] = make(map[string]bool, restores)
			}
			require.False(t, seen[i][v], "value %d repeats", i)
			seen[i][v] = true
		}
	}
}

func TestKindOfFailure(t *testing.T) {
	img := prepare(t, settings())
	for path, want := range map[string]abi.Kind{
		"/spin":     abi.Deadline,
		"/sleep":    abi.Deadline,
		"/clear":    abi.Deadline,
		"/entropy":  abi.Deadline,
		"/exit":     abi.Exited,
		"/deadlock": abi.Exited,
		"/grow":     abi.OutOfMemory,
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
			require.Less(t, time.Since(start), limit+10*time.Second, "it ended late, or by something else")
			require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
			t.Log(err)
		})
	}
}

func TestASecondStartSaysWhatIsWrong(t *testing.T) {
	_, _, err := ask(t, prepare(t, settings()), abi.Event{Path: "/start"}, 5*time.Second)
	require.ErrorContains(t, err, "guest.Start was called before; a function has one handler")
}

func TestEndlessRecursionEnds(t *testing.T) {
	s := settings()
	s.MemoryMax = 8 << 20 // the Go runtime copies the stack each time it doubles
	img := prepare(t, s)
	_, _, err := ask(t, img, abi.Event{Path: "/recurse"}, 5*time.Second)
	require.Equal(t, abi.Trapped, function.KindOf(err), "%v", err)
	require.Equal(t, "1", text(t, img, "/count"), "the next request is clean")
}

// TestCollectorNeedNotWaitForABusyGuest forces collections while guests do
// nothing but bulk memory instructions and loops.
func TestCollectorNeedNotWaitForABusyGuest(t *testing.T) {
	img := prepare(t, settings())
	for _, path := range []string{"/clear", "/spin"} {
		var guest sync.WaitGroup
		guest.Go(func() { _, _, _ = ask(t, img, abi.Event{Path: path}, time.Second) })
		var longest time.Duration
		for range 20 {
			start := time.Now()
			runtime.GC()
			longest = max(longest, time.Since(start))
		}
		guest.Wait()
		t.Logf("%s: the longest of 20 collections took %v", path, longest)
		require.Less(t, longest, 800*time.Millisecond, "it waited for the guest's end")
	}
}

func TestCancellationIsNotADeadline(t *testing.T) {
	img := prepare(t, settings())
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	defer sb.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	end := time.Now().Add(time.Minute)
	_, err = sb.Serve(ctx, &abi.Event{Path: "/spin"}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
	require.Equal(t, abi.NotReady, function.KindOf(err))
	require.ErrorContains(t, err, "the host is stopping")
}

// mappedCode sums up the memory that holds compiled code.
func mappedCode(t *testing.T) (n int64) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("looks at mappings through /proc, which is not here")
	}
	for line := range strings.Lines(string(maps)) {
		var start, end, inode uint64
		var access, offset, device string
		_, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &start, &end, &access, &offset, &device, &inode)
		require.NoError(t, err)
		if access == "r-xp" && inode == 0 && !strings.Contains(line, "[") {
			n += int64(end - start)
		}
	}
	return n
}

// TestClosedImagesGiveTheirCodeBack deploys modules that differ in code.
func TestClosedImagesGiveTheirCodeBack(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
	deploy := func(i int) *sandbox.Image {
		var code []step // over 100 KiB when compiled, against 30 KiB of the host's own
		for range 4000 {
			code = append(code, call(abi.ImportLog, anyResult, int32(i), 0))
		}
		img, err := e.Prepare(t.Context(), handmade{serve: append(code, take(anyResult), respond())}.bytes(), capable())
		require.NoError(t, err)
		require.NoError(t, img.Wake(t.Context()))
		return img
	}
	var images []*sandbox.Image
	for i := range 50 {
		images = append(images, deploy(i))
	}
	opened := mappedCode(t)
	for same := 0; same < 5; same++ { // what earlier tests have let go of is unmapped by finalizers
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		if n := mappedCode(t); n != opened {
			opened, same = n, 0
		}
	}
	for _, img := range images {
		img.Close()
	}
	images = nil
	require.Eventually(t, func() bool {
		runtime.GC()
		return mappedCode(t) <= opened-50*80<<10
	}, 5*time.Second, 10*time.Millisecond, "of %d bytes of code", opened)
}

// canary is what a guest leaves behind everywhere it can. It is told and looked
// for with every bit inverted, so that an event that asks for it holds none.
func canary(i int) (plain, inverted []byte) {
	plain = []byte(fmt.Sprintf("canary %06d: nobody else may read this", i))
	inverted = make([]byte, len(plain))
	for k, c := range plain {
		inverted[k] = ^c
	}
	return plain, inverted
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

// TestS4ReseedingWorksWhereverTheGeneratorStands freezes the runtime's generator at
// each of its four counter values: in one of them a seed is thrown away unless the
// counter is reset with it.
func TestS4ReseedingWorksWhereverTheGeneratorStands(t *testing.T) {
	for _, draws := range []string{"0", "32", "64", "96", "17"} {
		s := settings()
		s.Env = map[string]string{"PROBE_DRAWS": draws}
		img := prepare(t, s)
		seen := map[string]bool{}
		for range 20 {
			for i, v := range strings.Fields(text(t, img, "/random")) {
				key := fmt.Sprint(i, v)
				require.False(t, seen[key], "after %s draws", draws)
				seen[key] = true
			}
		}
	}
}

// inits counts initialisations by what the probe prints in them.
func inits(s *sandbox.Settings) *atomic.Int64 {
	var n atomic.Int64
	s.Log = func(_ string, rec abi.LogRecord) {
		if rec.Message == "initialised" {
			n.Add(1)
		}
	}
	return &n
}

func TestASnapshotFileSparesTheNextHostTheInitialisation(t *testing.T) {
	dir, wasm := t.TempDir(), testmodule.Build(t, "testdata/probe")
	require.NoError(t, os.Symlink(filepath.Join(testmodule.Directory(t), "derived", "compiled"), filepath.Join(dir, "compiled")))
	s := settings()
	n := inits(&s)
	clock := func() (mono int64) {
		e := openEngine(t, sandbox.Options{Directory: dir})
		img, err := e.Prepare(t.Context(), wasm, s)
		require.NoError(t, err)
		defer img.Close()
		require.Equal(t, "1", text(t, img, "/count"))
		_, since, _ := strings.Cut(text(t, img, "/clock"), " ")
		mono, err = strconv.ParseInt(since, 10, 64)
		require.NoError(t, err)
		return mono
	}
	require.Positive(t, clock())
	require.Equal(t, int64(1), n.Load())
	require.Positive(t, clock(), "the monotonic clock never falls behind the snapshot's")
	require.Equal(t, int64(1), n.Load(), "the second engine found the file")

	files, err := filepath.Glob(filepath.Join(dir, "images", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	whole, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for i, damaged := range [][]byte{whole[:len(whole)/2], nil, append([]byte("x"), whole...), flip(whole, 20), flip(whole, 60), flip(whole, len(whole)-1)} {
		require.NoError(t, os.WriteFile(files[0], damaged, 0o600))
		clock()
		require.Equal(t, int64(2+i), n.Load(), "a damaged file is not used, and replaced")
	}
}

func flip(b []byte, at int) []byte {
	b = append([]byte(nil), b...)
	b[at] ^= 1
	return b
}

func TestEqualDrawsMeanNoSharedSnapshot(t *testing.T) {
	var inits atomic.Int64
	s := capable()
	s.Log = func(string, abi.LogRecord) { inits.Add(1) }
	logs := call(abi.ImportLog, 0, logAt, int32(len(logFrame)))
	guest := handmade{random: []step{draw(42)}, init: []step{logs}, serve: []step{take(anyResult), respond()}}
	img := prepareModule(t, guest.bytes(), s)
	require.Contains(t, img.Note(), "random numbers would repeat")
	before := inits.Load()
	for range 3 {
		_, _, err := ask(t, img, abi.Event{}, time.Second)
		require.NoError(t, err)
	}
	require.Equal(t, before+3, inits.Load(), "every request initialises anew")
}
