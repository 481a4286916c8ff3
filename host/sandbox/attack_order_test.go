package sandbox_test

import (
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// G16: calls from where a guest serves no event: its start function, and the
// spore_random that the host calls back into.

// endlessLoop is a loop without a way out.
var endlessLoop = raw(0x03, 0x40, 0x0c, 0, 0x0b)

// requireUnharmed has e serve another function. Of what was refused before, nothing is
// in memory.
func requireUnharmed(t *testing.T, e *sandbox.Engine) {
	t.Helper()
	require.Zero(t, sandbox.Programs(e))
	img, err := e.Prepare(t.Context(), saying("hello"), capable())
	require.NoError(t, err)
	defer img.Close()
	res, _, err := ask(t, img, abi.Event{}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, "hello", string(res.Body))
}

// TestG16CallsInTheStartFunction: it is part of the initialisation, and is told what
// abi/README.md 7.2 says of that, but that it must not ask for a request.
func TestG16CallsInTheStartFunction(t *testing.T) {
	const count, line = 0x6000, 0x700
	denied, outOfOrder := abi.Denied.Errno(), abi.OutOfOrder.Errno()
	for name, tc := range map[string]struct {
		steps []step
		want  abi.Kind
		text  string
	}{
		"nothing":             {nil, abi.None, ""},
		"a log line":          {[]step{call(abi.ImportLog, 0, logAt, int32(len(logFrame)))}, abi.None, ""},
		"a line of output":    {[]step{call("fd_write", 0, 1, line, 1, line+8)}, abi.None, ""},
		"a secret":            {[]step{call(abi.ImportSecretGet, denied, nameAt, 5, 0, 99)}, abi.None, ""},
		"an outbound call":    {[]step{call(abi.ImportHTTPStart, denied, httpAt, int32(len(httpFrame)))}, abi.None, ""},
		"an operation":        {[]step{call(abi.ImportKVStart, denied, kvAt, int32(len(kvFrame)))}, abi.None, ""},
		"memory growth":       {[]step{grow(1, 1)}, abi.None, ""},
		"a body":              {[]step{call(abi.ImportBodyRead, outOfOrder, 0, 0, 0)}, abi.None, ""},
		"an answer":           {[]step{respond().as(outOfOrder)}, abi.None, ""},
		"an error":            {[]step{failWith().as(outOfOrder)}, abi.None, ""},
		"a request":           {[]step{take(anyResult)}, abi.OutOfOrder, "the module's start function asked for a request"},
		"a request of size 0": {[]step{call(abi.ImportGetNextRequest, anyResult, 0, 0)}, abi.OutOfOrder, "the module's start function asked for a request"},
		"a trap":              {[]step{raw(0x00)}, abi.Trapped, "unreachable"},
		"an exit":             {[]step{call(procExit, noResult, 3)}, abi.Exited, "status 3"},
		"a loop without end":  {[]step{endlessLoop}, abi.Deadline, "raise init_timeout"},
		"too much memory":     {[]step{grow(16, -1), raw(0x00)}, abi.OutOfMemory, "raise memory"},
	} {
		t.Run(name, func(t *testing.T) {
			var logs records
			s := capable()
			s.Log = logs.take
			if tc.want == abi.Deadline {
				s.InitTimeout = 200 * time.Millisecond
			}
			guest := handmade{
				data:  map[uint32][]byte{line: oneLine(line, "hi\n")},
				start: append([]step{load(count, 0), store(count, 77)}, tc.steps...), // it runs once, before all else
				init:  []step{load(count, 77)},
				serve: []step{load(count, 77), store(count, 78), take(anyResult), respond()},
			}
			e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
			img, err := e.Prepare(t.Context(), guest.bytes(), s)
			require.Equal(t, tc.want, function.KindOf(err), "%v", err)
			if err != nil {
				require.ErrorContains(t, err, "initialise: ")
				require.ErrorContains(t, err, tc.text)
				requireUnharmed(t, e)
				return
			}
			defer img.Close()
			if name == "a log line" || name == "a line of output" {
				require.Len(t, logs.takeAll(), 1)
			}
			for range 3 {
				_, _, err := ask(t, img, abi.Event{}, 5*time.Second)
				require.NoError(t, err)
			}
			require.Empty(t, logs.takeAll(), "it does not run again")
		})
	}
}

// TestG16TheStartFunctionOfACommand runs in every request, before the rest of it, and
// what goes wrong there is that request's error.
func TestG16TheStartFunctionOfACommand(t *testing.T) {
	const count, line = 0x6000, 0x700
	command := func(steps ...step) []byte {
		code := handmade{}.code
		start := code(append([]step{load(count, 0), store(count, 77)}, steps...))
		write := raw(0x10, 0, 0x1a) // call fd_write; drop
		write.args = []int32{1, line, 1, line + 8}
		return cat([]byte("\x00asm\x01\x00\x00\x00"),
			section(1, vec([]byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 0, 0})),
			section(2, vec(cat(str(wasiModule), str("fd_write"), []byte{0, 0}))),
			section(3, vec([]byte{1}, []byte{1})),
			section(5, oneMemory),
			section(7, vec(cat(str(abi.ExportMemory), []byte{2, 0}), cat(str(abi.ExportStart), []byte{0, 1}))),
			section(8, []byte{2}),
			section(10, vec(sized(body(code([]step{load(count, 77), write}))), sized(body(start)))),
			section(11, vec(cat([]byte{0, 0x41}, sleb(line), []byte{0x0b}, sized(oneLine(line, "hello"))))))
	}
	e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
	img, err := e.Prepare(t.Context(), command(), capable())
	require.NoError(t, err)
	for range 3 {
		res, _, err := ask(t, img, abi.Event{}, 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, "hello", string(res.Body))
	}
	img.Close()
	for want, wrong := range map[abi.Kind]step{abi.Trapped: raw(0x00), abi.Deadline: endlessLoop} {
		s := capable()
		s.InitTimeout = 10 * time.Second
		img, err := e.Prepare(t.Context(), command(wrong), s)
		require.NoError(t, err)
		for range 2 {
			const limit = 200 * time.Millisecond
			start := time.Now()
			_, _, err := ask(t, img, abi.Event{}, limit)
			require.Equal(t, want, function.KindOf(err), "%v", err)
			require.Less(t, time.Since(start), limit+2*time.Second, "it has the event's time and no more")
		}
		img.Close()
		requireUnharmed(t, e)
	}
}

// TestG1InitialisationsInAnEventEndAtItsDeadline: where there is no snapshot, the time that
// the guest takes to initialise is the event's, whatever a deploy may take.
func TestG1InitialisationsInAnEventEndAtItsDeadline(t *testing.T) {
	const clock = 0x6000
	var now atomic.Int64
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Now: func() time.Time { return time.Unix(0, now.Load()) }})
	late := []step{call("clock_time_get", 0, 0, 0, clock), raw(cat([]byte{0x41}, sleb(clock), []byte{0x28, 2, 0, 0x04, 0x40})...), endlessLoop, raw(0x0b)}
	draws := []step{take(anyResult), draw(42)} // always the same: no snapshot
	for name, guest := range map[string]handmade{
		"a start function": {start: late, random: draws, serve: []step{take(anyResult), respond()}},
		"main":             {init: late, random: draws, serve: []step{take(anyResult), respond()}},
	} {
		t.Run(name, func(t *testing.T) {
			now.Store(0)
			s := capable()
			s.InitTimeout = 10 * time.Second
			img, err := e.Prepare(t.Context(), guest.bytes(), s)
			require.NoError(t, err)
			defer img.Close()
			require.NotEmpty(t, img.Note(), "there is no snapshot")
			_, _, err = ask(t, img, abi.Event{}, 5*time.Second)
			require.NoError(t, err)
			now.Store(1)
			const limit = 200 * time.Millisecond
			start := time.Now()
			_, stats, err := ask(t, img, abi.Event{}, limit)
			require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
			require.Less(t, time.Since(start), limit+2*time.Second)
			require.NotZero(t, stats.Duration, "it is the event's time, and reported")
			require.Equal(t, s.MemoryMax, stats.MemoryMax)
		})
	}
}

// oneLine is data for address at: a vector for fd_write of one element, room for what it
// answers, and the line.
func oneLine(at uint32, line string) []byte {
	data := binary.LittleEndian.AppendUint32(nil, at+16)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(line)))
	return append(append(data, 0, 0, 0, 0), line...)
}

// TestG16CallsInSporeRandom: the host calls it for a number, and it calls the host back.
// What it does is nothing to the snapshot. What a call for a secret, outbound or for a
// key is told there, abi/README.md 8.4 leaves open.
func TestG16CallsInSporeRandom(t *testing.T) {
	const count, drawn = 0x6000, 0x6100
	outOfOrder := abi.OutOfOrder.Errno()
	fresh := []step{call("random_get", 0, drawn, 8), raw(cat([]byte{0x41}, sleb(drawn), []byte{0x29, 3, 0})...)} // i64.load
	taken := func(steps ...step) []step { return append(append([]step{take(anyResult)}, steps...), fresh...) }
	early := func(s step) []step { return append([]step{s.as(outOfOrder), take(anyResult)}, fresh...) }
	secret := call(abi.ImportSecretGet, 6, nameAt, 5, 0x6200, 99)
	body := call(abi.ImportBodyRead, 0, 0, 0, 0)
	outbound := call(abi.ImportHTTPStart, 8, httpAt, int32(len(httpFrame)))
	operation := call(abi.ImportKVStart, 8, kvAt, int32(len(kvFrame)))
	logs := call(abi.ImportLog, 0, logAt, int32(len(logFrame)))
	for name, tc := range map[string]struct {
		random  []step
		want    abi.Kind
		repeats bool
	}{
		"a new number each time":       {taken(), abi.None, false},
		"a number that repeats":        {[]step{take(anyResult), draw(42)}, abi.None, true},
		"zero, always":                 {[]step{take(anyResult), draw(0)}, abi.None, true},
		"it never asks for the event":  {fresh, abi.None, false},
		"it does nothing at all":       {[]step{draw(42)}, abi.None, true},
		"the event twice":              {taken(take(outOfOrder)), abi.OutOfOrder, false},
		"a buffer too small, and more": {append([]step{call(abi.ImportGetNextRequest, anyResult, 0, 0)}, taken()...), abi.None, false},
		"a log line":                   {taken(logs), abi.None, false},
		"a body":                       {taken(body), abi.None, false},
		"an answer":                    {taken(respond()), abi.None, false},
		"two answers":                  {taken(respond(), respond().as(outOfOrder)), abi.OutOfOrder, false},
		"an error":                     {taken(failWith()), abi.GuestError, false},
		"a secret":                     {taken(secret.as(anyResult)), abi.None, false},
		"an outbound call":             {taken(outbound.as(anyResult)), abi.None, false},
		"an operation":                 {taken(operation.as(anyResult)), abi.None, false},
		"an answer before the event":   {early(respond()), abi.OutOfOrder, false},
		"an error before the event":    {early(failWith()), abi.OutOfOrder, false},
		"a body before the event":      {early(body), abi.OutOfOrder, false},
		"a secret before the event":    {early(secret), abi.OutOfOrder, false},
		"a call before the event":      {early(outbound), abi.OutOfOrder, false},
		"an operation before it":       {early(operation), abi.OutOfOrder, false},
		"a log line before the event":  {early(logs), abi.OutOfOrder, false},
		"memory growth":                {taken(grow(1, 1)), abi.None, false},
		"memory over the limit":        {taken(grow(16, -1), raw(0x00)), abi.OutOfMemory, false},
		"a trap":                       {taken(raw(0x00)), abi.Trapped, false},
		"an exit":                      {taken(call(procExit, noResult, 0)), abi.Exited, false},
		"a loop without end":           {taken(endlessLoop), abi.Deadline, false},
		"an answer, and a loop":        {taken(respond(), endlessLoop), abi.Deadline, false},
	} {
		t.Run(name, func(t *testing.T) {
			var open atomic.Int64
			s := capable()
			s.KV = func(context.Context, *abi.KVRequest) (abi.KVAnswer, func()) {
				open.Add(1)
				return abi.KVAnswer{Kind: abi.NotFound}, func() { open.Add(-1) }
			}
			s.HTTP = func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
				open.Add(1)
				return abi.HTTPHead{}, closing{&open}
			}
			if tc.want == abi.Deadline {
				s.InitTimeout = 200 * time.Millisecond
			}
			guest := handmade{
				random: append([]step{load(count, 0), store(count, 1)}, tc.random...),
				serve:  []step{load(count, 0), store(count, 2), pages(1), take(anyResult), respond()},
			}
			e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
			img, err := e.Prepare(t.Context(), guest.bytes(), s)
			require.Equal(t, tc.want, function.KindOf(err), "%v", err)
			require.Zero(t, open.Load(), "calls that are still open")
			if err != nil {
				require.ErrorContains(t, err, "spore_random: ")
				requireUnharmed(t, e)
				return
			}
			defer img.Close()
			require.Equal(t, tc.repeats, img.Note() != "", img.Note())
			for range 3 {
				_, stats, err := ask(t, img, abi.Event{}, 5*time.Second)
				require.NoError(t, err)
				if tc.repeats {
					require.Negative(t, stats.DirtyPages, "there is no snapshot to go back to")
				}
			}
		})
	}
}

// closing is an empty body that counts as open until it is closed.
type closing struct{ open *atomic.Int64 }

func (closing) Read([]byte) (int, error) { return 0, io.EOF }
func (c closing) Close() error           { c.open.Add(-1); return nil }

// TestNothingIsGrantedInSporeRandom: a deploy is no request.
func TestNothingIsGrantedInSporeRandom(t *testing.T) {
	s := capable()
	s.HTTP = func(context.Context, *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
		t.Error("a call was made in a deploy")
		return abi.HTTPHead{Kind: abi.Denied}, nil
	}
	s.Secret = func(string) ([]byte, error) {
		t.Error("a secret was looked up")
		return nil, nil
	}
	s.KV = func(context.Context, *abi.KVRequest) (abi.KVAnswer, func()) {
		t.Error("a key was touched")
		return abi.KVAnswer{}, func() {}
	}
	const denied = -4
	guest := handmade{random: []step{take(anyResult),
		call(abi.ImportHTTPStart, denied, httpAt, int32(len(httpFrame))),
		call(abi.ImportKVStart, denied, kvAt, int32(len(kvFrame))),
		call(abi.ImportSecretGet, denied, nameAt, 5, 0, 99), draw(1)},
		serve: []step{take(anyResult), respond()}}
	img, err := openEngine(t, sandbox.Options{Directory: t.TempDir()}).Prepare(t.Context(), guest.bytes(), s)
	require.NoError(t, err)
	img.Close()
}
