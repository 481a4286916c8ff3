package sandbox_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

func (m handmade) prepare(t *testing.T, s sandbox.Settings) *sandbox.Image {
	t.Helper()
	return prepareModule(t, m.bytes(), s)
}

func TestModulesThatAreAccepted(t *testing.T) {
	steps := []step{take(anyResult), respond()}
	for name, guest := range map[string]handmade{
		"unknown exports":              {exports: map[string]string{"later": "memory", "spore_later": "random", "spore_state": "global"}},
		"_initialize instead of main":  {exports: map[string]string{abi.ExportStart: "", abi.ExportInitialize: "start"}},
		"an _initialize that returns":  {exports: map[string]string{abi.ExportStart: "", abi.ExportInitialize: "start"}, noInit: true},
		"one function for two exports": {exports: map[string]string{"again": "serve"}},
	} {
		t.Run(name, func(t *testing.T) {
			guest.serve = steps
			guest.globals = [][]byte{{0x7f, 0, 0x41, 1, 0x0b}}
			_, err := guest.serveOnce(t, abi.Event{})
			require.NoError(t, err)
		})
	}
}

// TestM8NothingIsGrantedInInitialisation has a Go guest ask for a secret and for
// a call, both granted to its requests, before it has asked for one.
func TestM8NothingIsGrantedInInitialisation(t *testing.T) {
	var said []string
	s := settings()
	s.Capabilities = capable().Capabilities
	s.HTTP = func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		t.Error("a call was made")
		return abi.HTTPHead{Kind: abi.Denied}, nil
	}
	s.Secret = func(string) ([]byte, error) {
		t.Error("a secret was looked up")
		return nil, nil
	}
	s.Log = func(_ string, rec abi.LogRecord) { said = append(said, rec.Message) }
	s.Env = map[string]string{"PROBE_INIT": "ask"}
	img, err := openEngine(t, sandbox.Options{Directory: t.TempDir()}).Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), s)
	require.NoError(t, err)
	defer img.Close()
	require.Len(t, said, 4)
	require.Contains(t, said[0], "denied")
	require.Contains(t, said[1], "denied")
	require.Equal(t, "answer: guest: there is no event to answer before guest.Start: answer in the handler", said[2])
}

// TestM8FailedInitialisations are those of a Go guest: none goes live, and the
// error has what it said on standard error.
func TestM8FailedInitialisations(t *testing.T) {
	for mode, want := range map[string]struct {
		kind abi.Kind
		text string
	}{
		"spin":   {abi.Deadline, "no request was asked for within 200ms"},
		"sleep":  {abi.Deadline, "no request was asked for within 200ms"},
		"exit":   {abi.Exited, "status 3: cannot find my configuration"},
		"return": {abi.Exited, "exited with status 0 without asking for a request; end main with guest.Start(handler)"},
		"panic":  {abi.Exited, "no luck today"},
		"grow":   {abi.OutOfMemory, "the memory limit was reached"},

		"start without a handler": {abi.Exited, "guest.Start was given no handler"},
		"warm without code":       {abi.Exited, "guest.Warm was given no function"},
		"restore without code":    {abi.Exited, "guest.OnRestore was given no function"},
	} {
		t.Run(mode, func(t *testing.T) {
			s := settings()
			s.Env = map[string]string{"PROBE_INIT": mode}
			if want.kind == abi.Deadline {
				s.InitTimeout = 200 * time.Millisecond
			}
			_, err := openEngine(t, sandbox.Options{}).Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), s)
			require.Equal(t, want.kind, function.KindOf(err), "%v", err)
			require.ErrorContains(t, err, want.text)
		})
	}
}

// TestS1EverySandboxStandsAtTheSnapshot keeps the state of initialisation in memory,
// in its size and in mutable globals of all four types. Each event finds it and
// ruins it.
func TestS1EverySandboxStandsAtTheSnapshot(t *testing.T) {
	const state, grown = 0x6000, memorySize + 0x6000
	globals := func(v byte) step {
		return raw(0x41, v, 0x24, 0, 0x42, v, 0x24, 1, // i32, i64
			0x41, v, 0xbe, 0x24, 2, 0x42, v, 0xbf, 0x24, 3) // f32 and f64 of these bits
	}
	global := func(want int32, get ...byte) step { return step{code: get, want: want} }
	guest := handmade{
		globals: [][]byte{{0x7f, 1, 0x41, 1, 0x0b}, {0x7e, 1, 0x42, 1, 0x0b},
			{0x7d, 1, 0x43, 0, 0, 0, 0, 0x0b}, {0x7c, 1, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b}},
		init: []step{grow(1, 1), store(state, 77), store(grown, 78), globals(7)},
		serve: []step{
			pages(2), load(state, 77), load(grown, 78), load(state+4, 0),
			global(7, 0x23, 0), global(7, 0x23, 1, 0xa7), global(7, 0x23, 2, 0xbc), global(7, 0x23, 3, 0xbd, 0xa7),
			take(anyResult), respond(),
			grow(3, 2), store(state, 1), store(grown, 2), store(state+4, 3), store(4*memorySize, 4), globals(9),
		},
	}
	img := guest.prepare(t, capable())
	for range 3 {
		_, _, err := ask(t, img, abi.Event{}, time.Second)
		require.NoError(t, err)
	}
}

func TestASandboxServesOnce(t *testing.T) {
	const mark = 0x6000
	for name, tc := range map[string]struct {
		step step
		want abi.Kind
	}{
		"an answer":           {respond(), abi.None},
		"no answer":           {raw(), abi.NoAnswer},
		"a call out of order": {take(abi.OutOfOrder.Errno()), abi.OutOfOrder},
		"a trap":              {raw(0x00), abi.Trapped},
		"an exit":             {call(procExit, noResult, 0), abi.Exited},
		"a deadline":          {raw(0x03, 0x40, 0x0c, 0, 0x0b), abi.Deadline},
		"memory growth":       {grow(1, 1), abi.NoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			guest := handmade{serve: []step{pages(1), load(mark, 0), store(mark, 1), take(anyResult), tc.step}}
			img := guest.prepare(t, capable())
			for range 2 {
				sb, err := img.Open(t.Context())
				require.NoError(t, err)
				defer sb.Close()
				serve := func() error {
					end := time.Now().Add(200 * time.Millisecond)
					_, err := sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
					return err
				}
				require.Equal(t, tc.want, function.KindOf(serve()))
				require.Panics(t, func() { _ = serve() })
			}
		})
	}
}

// answerWith returns a Result frame without its last size bytes, which are the
// body, and where to put it so that the body is at the address given.
func answerWith(size int, at int32) (prefix []byte, ptr, length int32) {
	frame := abi.AppendResult(nil, &abi.Result{Body: make([]byte, size)})
	prefix = frame[:len(frame)-size]
	return prefix, at - int32(len(prefix)), int32(len(frame))
}

// TestAnAnswerIsHandedUpAtTheNextCall of a guest that goes on, and not when it has ended.
func TestAnAnswerIsHandedUpAtTheNextCall(t *testing.T) {
	var order []string
	s := capable()
	s.Log = func(string, abi.LogRecord) { order = append(order, "log") }
	img := handmade{serve: []step{take(anyResult), respond(), call(abi.ImportLog, 0, logAt, int32(len(logFrame)))}}.prepare(t, s)
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	defer sb.Close()
	end := time.Now().Add(time.Minute)
	_, err = sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(_ *abi.Result, goesOn bool) {
		require.True(t, goesOn)
		order = append(order, "answer")
	})
	require.NoError(t, err)
	require.Equal(t, []string{"answer", "log"}, order)
}

// TestBodyReadInPieces has the guest put its answer's body together from pieces
// of the event's, the last one first.
func TestBodyReadInPieces(t *testing.T) {
	const at = 0xd000
	for _, size := range []int32{5000, abi.MaxInlineBody + 1, 100_000} {
		t.Run(strconv.Itoa(int(size)), func(t *testing.T) {
			prefix, ptr, length := answerWith(int(size), at)
			read := func(n, offset, want int32) step { return call(abi.ImportBodyRead, want, at+offset, n, offset) }
			third := size / 3
			guest := handmade{
				data: map[uint32][]byte{uint32(ptr): prefix},
				init: []step{grow(2, 1)},
				serve: []step{
					take(anyResult),
					read(-1, 2*third, size-2*third), // as much as there is
					read(third, third, third), read(1, 0, 1), read(third, 0, third), read(1, 0, 1),
					read(100, size, 0), read(0, 1, 0),
					read(0, size+1, abi.Invalid.Errno()), read(1, -1, abi.Invalid.Errno()),
					call(abi.ImportSendResponse, 0, ptr, length),
				},
			}
			body := []byte(strings.Repeat("0123456789abcdef\n", int(size)/17+1))[:size]
			res, err := guest.serveOnce(t, abi.Event{Body: body})
			require.NoError(t, err)
			require.Equal(t, string(body), string(res.Body))
		})
	}
}

// TestG15TheHostCopiesWhatItReads overwrites every frame right after the call it was
// for. The host looks at them when the guest is done.
func TestG15TheHostCopiesWhatItReads(t *testing.T) {
	request := abi.HTTPRequest{Method: "PUT", URL: "https://example.test/", Headers: abi.Pairs{{Name: "a", Value: "b"}}, Body: []byte("sent")}
	record := abi.LogRecord{Message: "hello", Attrs: abi.Pairs{{Name: "k", Value: "v"}}}
	report := abi.Error{Type: "Oops", Message: "by hand", Stack: "main.go:1"}
	requestFrame, recordFrame := abi.AppendHTTPRequest(nil, &request), abi.AppendLogRecord(nil, &record)
	reportFrame := abi.AppendError(nil, &report)

	var sent *abi.HTTPRequest
	var logged []abi.LogRecord
	var secret string
	s := capable()
	s.HTTP = func(ctx context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		<-ctx.Done() // the guest has ended
		sent = req
		return abi.HTTPHead{Kind: abi.Deadline}, nil
	}
	s.Log = func(_ string, rec abi.LogRecord) { logged = append(logged, rec) }
	s.Secret = func(name string) ([]byte, error) { secret = name; return nil, nil }
	guest := handmade{
		data: map[uint32][]byte{httpAt: requestFrame, logAt: recordFrame, errorAt: reportFrame},
		serve: []step{
			take(anyResult),
			call(abi.ImportHTTPStart, 8, httpAt, int32(len(requestFrame))),
			call(abi.ImportLog, 0, logAt, int32(len(recordFrame))),
			call(abi.ImportSecretGet, 0, nameAt, 5, 0, 0),
			call(abi.ImportSendError, 0, errorAt, int32(len(reportFrame))),
			fill(0, -1, eventAt),
		},
	}
	_, _, err := ask(t, guest.prepare(t, s), abi.Event{}, 5*time.Second)
	require.Equal(t, abi.GuestError, function.KindOf(err))
	require.EqualError(t, errors.Unwrap(err), "Oops: by hand")
	require.Equal(t, &request, sent)
	stack := abi.LogRecord{Level: 8, Message: "stack of the error", Attrs: abi.Pairs{{Name: "stack", Value: "main.go:1"}}}
	require.Equal(t, []abi.LogRecord{record, stack}, logged)
	require.Equal(t, "TOKEN", secret)
}

// TestS5ClocksAfterARestore has a guest read its monotonic clock before the freeze,
// and both clocks after it. The second host finds the snapshot of one that had run
// for an hour.
func TestS5ClocksAfterARestore(t *testing.T) {
	const before, after, real = 0x6000, 0x6008, 0x6010
	prefix, ptr, length := answerWith(24, before)
	guest := handmade{
		data:  map[uint32][]byte{uint32(ptr): prefix},
		init:  []step{call("clock_time_get", 0, 1, 0, before)},
		serve: []step{take(anyResult), call("clock_time_get", 0, 1, 0, after), call("clock_time_get", 0, 0, 0, real), call(abi.ImportSendResponse, 0, ptr, length)},
	}.bytes()
	dir, now := t.TempDir(), time.Unix(1234567890, 5)
	read := func() (frozen, mono time.Duration) {
		e := openEngine(t, sandbox.Options{Directory: dir, Now: func() time.Time { return now }})
		img, err := e.Prepare(t.Context(), guest, capable())
		require.NoError(t, err)
		defer img.Close()
		res, _, err := ask(t, img, abi.Event{}, time.Second)
		require.NoError(t, err)
		require.Equal(t, uint64(now.UnixNano()), binary.LittleEndian.Uint64(res.Body[real-before:]))
		return time.Duration(binary.LittleEndian.Uint64(res.Body)), time.Duration(binary.LittleEndian.Uint64(res.Body[after-before:]))
	}
	frozen, mono := read()
	require.Positive(t, frozen)
	require.GreaterOrEqual(t, mono, frozen)

	files, err := filepath.Glob(filepath.Join(dir, "images", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	file, err := os.ReadFile(files[0])
	require.NoError(t, err)
	content := file[sha256.Size:]
	n := 4 + binary.LittleEndian.Uint32(content)
	header := regexp.MustCompile(`"Monotonic":\d+`).ReplaceAll(content[4:n], []byte(`"Monotonic":3600000000000`))
	require.NotEqual(t, content[4:n], header)
	content = slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(len(header))), header, content[n:])
	sum := sha256.Sum256(append([]byte(filepath.Base(files[0])), content...))
	require.NoError(t, os.WriteFile(files[0], append(sum[:], content...), 0o600))

	again, mono := read()
	require.Equal(t, frozen, again, "the file was used")
	require.GreaterOrEqual(t, mono, time.Hour)
}

// logged counts what a guest logs: lines, their bytes, and the lines said to be
// dropped.
type logged struct{ lines, bytes, dropped int }

func (l *logged) take(_ string, rec abi.LogRecord) {
	if n := rec.Attrs.Get("dropped"); n != "" {
		l.dropped, _ = strconv.Atoi(n)
		return
	}
	l.lines++
	l.bytes += len(rec.Message)
}

func TestG11LogOverTheBudget(t *testing.T) {
	const lines = 100_000 // of the probe's flood, 100 bytes each
	var got logged
	s := settings()
	s.Log = got.take
	img := prepare(t, s)
	got = logged{} // initialisation logs too
	require.Equal(t, "ok", text(t, img, "/flood"))
	require.Positive(t, got.lines)
	require.LessOrEqual(t, got.bytes, 64<<10)
	require.Equal(t, lines, got.lines+got.dropped)
}

// TestG11EmptyRecordsUseTheLogBudgetToo: each is a line of the host's log.
func TestG11EmptyRecordsUseTheLogBudgetToo(t *testing.T) {
	const records = 3000
	empty := abi.AppendLogRecord(nil, &abi.LogRecord{})
	guest := handmade{data: map[uint32][]byte{logAt: empty}, serve: []step{take(anyResult)}}
	for range records {
		guest.serve = append(guest.serve, call(abi.ImportLog, 0, logAt, int32(len(empty))))
	}
	guest.serve = append(guest.serve, respond())
	var got logged
	s := capable()
	s.Log = got.take
	_, _, err := ask(t, guest.prepare(t, s), abi.Event{}, time.Second)
	require.NoError(t, err)
	require.Less(t, got.lines, records/2)
	require.Equal(t, records, got.lines+got.dropped)
}
