package sandbox_test

import (
	"bytes"
	"context"
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

// kvFunc is sandbox.Capabilities.KV.
type kvFunc = func(context.Context, *abi.KVRequest) (abi.KVAnswer, func())

func kvprobe(t *testing.T, kv kvFunc) *sandbox.Image {
	t.Helper()
	s := settings()
	s.KV = kv
	return prepareModule(t, testmodule.Build(t, "testdata/kvprobe"), s)
}

// holding is a capability that always answers the same, and counts answers that
// were not released.
func holding(a abi.KVAnswer, held *atomic.Int64) kvFunc {
	return func(context.Context, *abi.KVRequest) (abi.KVAnswer, func()) {
		held.Add(1)
		return a, func() { held.Add(-1) }
	}
}

func kvText(t *testing.T, img *sandbox.Image, path string) string {
	t.Helper()
	res, _, err := ask(t, img, abi.Event{Path: path, RawQuery: "k"}, 5*time.Second)
	require.NoError(t, err)
	return string(res.Body)
}

func TestKeyValueAnswers(t *testing.T) {
	var held atomic.Int64
	large := bytes.Repeat([]byte("v"), abi.MaxKVValue)
	for name, tc := range map[string]struct {
		answer     abi.KVAnswer
		path, want string
	}{
		"a value":                 {abi.KVAnswer{Revision: 1, Body: []byte("value")}, "/get", "value"},
		"an empty value":          {abi.KVAnswer{Revision: 1}, "/get", ""},
		"the longest value":       {abi.KVAnswer{Revision: 1, Body: large}, "/get", string(large)},
		"a refusal":               {abi.KVAnswer{Kind: abi.Denied, Message: "not granted"}, "/get", `denied: kv get "k": denied: not granted`},
		"no such key":             {abi.KVAnswer{Kind: abi.NotFound}, "/get", "not_found: ErrNotFound"},
		"another revision":        {abi.KVAnswer{Kind: abi.Conflict}, "/create", "conflict: ErrConflict"},
		"a kind nobody knows":     {abi.KVAnswer{Kind: 200}, "/put", `unknown: kv put "k": unknown`},
		"fields nobody knows":     {abi.KVAnswer{Body: []byte("v"), Unknown: []abi.Field{{Type: 0x8000, Data: []byte("new")}}}, "/get", "v"},
		"keys":                    {abi.KVAnswer{Keys: []string{"a", "b"}}, "/list", "a,b"},
		"no keys":                 {abi.KVAnswer{}, "/list", ""},
		"more keys, but none yet": {abi.KVAnswer{More: 1}, "/list", ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, kvText(t, kvprobe(t, holding(tc.answer, &held)), tc.path))
			require.Zero(t, held.Load(), "every answer was released")
		})
	}
}

// TestKeyValueRequests: what the guest asked for arrives whole.
func TestKeyValueRequests(t *testing.T) {
	var got []*abi.KVRequest
	img := kvprobe(t, func(_ context.Context, req *abi.KVRequest) (abi.KVAnswer, func()) {
		got = append(got, req)
		return abi.KVAnswer{Revision: 7}, func() {}
	})
	for _, path := range []string{"/create", "/count", "/delete", "/list"} {
		res, _, err := ask(t, img, abi.Event{Path: path, RawQuery: "k", Body: []byte("v")}, 5*time.Second)
		require.NoError(t, err)
		require.NotContains(t, string(res.Body), ": ")
	}
	require.Equal(t, []*abi.KVRequest{
		{Op: abi.KVUpdate, Key: "k", Body: []byte("v"), ExpiryMS: 3_600_000},
		{Op: abi.KVGet, Key: "k"},
		{Op: abi.KVUpdate, Key: "k", Body: []byte("x"), Revision: 7},
		{Op: abi.KVDelete, Key: "k"},
		{Op: abi.KVList, Key: "k"},
	}, got)
}

func TestKeyValueNotGranted(t *testing.T) {
	require.Equal(t, `denied: kv get "k": denied`, kvText(t, kvprobe(t, nil), "/get"))
}

// TestASlowStore: an operation ends with the guest's own deadline, with the event's,
// and with the event; other guests run meanwhile on the only core.
func TestASlowStore(t *testing.T) {
	var waiting sync.WaitGroup
	s := settings()
	s.KV = func(ctx context.Context, req *abi.KVRequest) (abi.KVAnswer, func()) {
		if req.Op == abi.KVPut {
			return abi.KVAnswer{Revision: 1}, func() {}
		}
		waiting.Add(1)
		defer waiting.Done()
		<-ctx.Done()
		return abi.KVAnswer{Kind: abi.Deadline}, func() {}
	}
	img, err := openEngine(t, sandbox.Options{Cores: 1}).Prepare(t.Context(), testmodule.Build(t, "testdata/kvprobe"), s)
	require.NoError(t, err)
	t.Cleanup(img.Close)
	require.Equal(t, `deadline: kv get "k": deadline: context deadline exceeded`, kvText(t, img, "/timeout"))
	waiting.Wait()
	require.Equal(t, "left", kvText(t, img, "/leave"))
	waiting.Wait()

	done := make(chan string)
	go func() {
		res, _, err := ask(t, img, abi.Event{Path: "/get", RawQuery: "k"}, 300*time.Millisecond)
		done <- function.KindOf(err).String() + " " + string(res.Body) // the guest may have a moment to say so itself
	}()
	require.Equal(t, "put", kvText(t, img, "/put"), "beside it")
	require.Contains(t, <-done, "deadline")
	waiting.Wait()
}

// TestUnreadAnswersAreReleased has a guest start the most operations there may be and
// read none of their answers.
func TestUnreadAnswersAreReleased(t *testing.T) {
	var held atomic.Int64
	s := capable()
	s.KV = holding(abi.KVAnswer{Body: make([]byte, abi.MaxKVValue)}, &held)
	steps := []step{take(anyResult)}
	for i := range int32(abi.MaxOpenCalls) {
		steps = append(steps, call(abi.ImportKVStart, 8+i, kvAt, int32(len(kvFrame))))
	}
	_, _, err := ask(t, handmade{serve: append(steps, respond())}.prepare(t, s), abi.Event{}, 5*time.Second)
	require.NoError(t, err)
	require.Zero(t, held.Load())
}

// TestHostileOperations gives kv_start frames that are none.
func TestHostileOperations(t *testing.T) {
	asked := 0
	s := capable()
	s.KV = func(_ context.Context, req *abi.KVRequest) (abi.KVAnswer, func()) {
		asked++
		return abi.KVAnswer{}, func() {}
	}
	frames := map[string][]byte{
		"another kind of frame": httpFrame,
		"a length of its own":   append(bytes.Clone(kvFrame[:4]), 0xff, 0xff, 0xff, 0xff),
		"a frame cut short":     kvFrame[:len(kvFrame)-1],
		"bytes behind it":       append(bytes.Clone(kvFrame), 0),
		"a key of 4 GiB":        append(bytes.Clone(kvFrame[:len(kvFrame)-5]), 0xff, 0xff, 0xff, 0xff, 'k'),
		"an operation twice":    abi.AppendKVRequest(nil, &abi.KVRequest{Op: 1, Unknown: []abi.Field{{Type: 1, Data: []byte{1, 0, 0, 0}}}}),
		"a zero operation":      abi.AppendKVRequest(nil, &abi.KVRequest{Unknown: []abi.Field{{Type: 1, Data: []byte{0, 0, 0, 0}}}}),
		"pieces of a frame":     []byte(strings.Repeat("\x07\x00", 8)),
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			guest := handmade{data: map[uint32][]byte{0x6000: frame},
				serve: []step{take(anyResult), call(abi.ImportKVStart, abi.Invalid.Errno(), 0x6000, int32(len(frame))), respond()}}
			_, _, err := ask(t, guest.prepare(t, s), abi.Event{}, 5*time.Second)
			require.NoError(t, err)
		})
	}
	require.Zero(t, asked)
}
