package capability

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/state"
)

func openKV(t *testing.T, o KVOptions) *KV {
	t.Helper()
	s, err := state.Open(t.Context(), state.Options{Directory: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return NewKV(s, o)
}

func keysOf(t *testing.T, kv *KV, name string) *FunctionKV {
	t.Helper()
	f, err := kv.For(function.Spec{Name: name, KV: 4 << 20})
	require.NoError(t, err)
	return f
}

// askKV performs req and releases the answer.
func askKV(t *testing.T, f *FunctionKV, req abi.KVRequest) abi.KVAnswer {
	t.Helper()
	a, release := f.Do(t.Context(), &req)
	release()
	require.NoError(t, new(abi.KVAnswer).Decode(abi.AppendKVAnswer(nil, &a)), "the answer fits its frame")
	return a
}

func TestKeyValueOperations(t *testing.T) {
	f := keysOf(t, openKV(t, KVOptions{}), "f")
	require.Equal(t, abi.NotFound, askKV(t, f, abi.KVRequest{Op: abi.KVGet, Key: "k"}).Kind)
	first := askKV(t, f, abi.KVRequest{Op: abi.KVUpdate, Key: "k", Body: []byte("a"), ExpiryMS: 60_000})
	require.Equal(t, abi.None, first.Kind, first.Message)
	got := askKV(t, f, abi.KVRequest{Op: abi.KVGet, Key: "k"})
	require.Equal(t, "a", string(got.Body))
	require.Equal(t, first.Revision, got.Revision)
	require.InDelta(t, time.Now().Add(time.Minute).UnixMilli(), got.ExpiresMS, 10_000)
	conflict := askKV(t, f, abi.KVRequest{Op: abi.KVUpdate, Key: "k", Body: []byte("b")})
	require.Equal(t, abi.Conflict, conflict.Kind)
	require.Equal(t, `kv_start: update "k" in the bucket of f: conflict`, conflict.Message)
	require.Equal(t, abi.Conflict, askKV(t, f, abi.KVRequest{Op: abi.KVDelete, Key: "k", Revision: first.Revision + 1}).Kind)
	require.Equal(t, abi.None, askKV(t, f, abi.KVRequest{Op: abi.KVPut, Key: "l"}).Kind)
	require.Equal(t, abi.KVAnswer{Keys: []string{"k", "l"}}, askKV(t, f, abi.KVRequest{Op: abi.KVList}))
	require.Equal(t, abi.KVAnswer{Keys: []string{"k"}, More: 1}, askKV(t, f, abi.KVRequest{Op: abi.KVList, Limit: 1}))
	require.Equal(t, abi.KVAnswer{Keys: []string{"l"}}, askKV(t, f, abi.KVRequest{Op: abi.KVList, After: "k", Limit: math.MaxUint32}))
	require.Equal(t, abi.KVAnswer{}, askKV(t, f, abi.KVRequest{Op: abi.KVDelete, Key: "k", Revision: first.Revision}))
	require.Equal(t, abi.NotFound, askKV(t, f, abi.KVRequest{Op: abi.KVGet, Key: "k"}).Kind)
}

// TestHostileKeyValueRequests: each is an answer with a kind, and the bucket is as it was.
func TestHostileKeyValueRequests(t *testing.T) {
	f := keysOf(t, openKV(t, KVOptions{}), "f")
	long := strings.Repeat("k", abi.MaxKVKey+1)
	for name, tc := range map[string]struct {
		req  abi.KVRequest
		kind abi.Kind
	}{
		"no operation":            {abi.KVRequest{Key: "k"}, abi.Invalid},
		"an unknown operation":    {abi.KVRequest{Op: 6, Key: "k"}, abi.Invalid},
		"the highest operation":   {abi.KVRequest{Op: math.MaxUint32, Key: "k"}, abi.Invalid},
		"no key":                  {abi.KVRequest{Op: abi.KVPut}, abi.Invalid},
		"a key that is no UTF-8":  {abi.KVRequest{Op: abi.KVPut, Key: "\xff"}, abi.Invalid},
		"a key too long":          {abi.KVRequest{Op: abi.KVPut, Key: long}, abi.TooLarge},
		"a prefix too long":       {abi.KVRequest{Op: abi.KVList, Key: long}, abi.TooLarge},
		"a place too long":        {abi.KVRequest{Op: abi.KVList, After: long}, abi.TooLarge},
		"a negative revision":     {abi.KVRequest{Op: abi.KVUpdate, Key: "k", Revision: -1}, abi.Invalid},
		"a revision nobody had":   {abi.KVRequest{Op: abi.KVUpdate, Key: "k", Revision: math.MaxInt64}, abi.Conflict},
		"a negative expiry":       {abi.KVRequest{Op: abi.KVPut, Key: "k", ExpiryMS: -1}, abi.Invalid},
		"the lowest expiry":       {abi.KVRequest{Op: abi.KVPut, Key: "k", ExpiryMS: math.MinInt64}, abi.Invalid},
		"an expiry that wraps":    {abi.KVRequest{Op: abi.KVPut, Key: "k", ExpiryMS: math.MaxInt64}, abi.Invalid},
		"a prefix of half a rune": {abi.KVRequest{Op: abi.KVList, Key: "\xe6\x97"}, abi.None},
	} {
		t.Run(name, func(t *testing.T) {
			a := askKV(t, f, tc.req)
			require.Equal(t, tc.kind, a.Kind, a.Message)
			require.LessOrEqual(t, len(a.Message), 1000)
			require.Empty(t, askKV(t, f, abi.KVRequest{Op: abi.KVList}).Keys)
		})
	}
}

func TestKeyValueWithoutAGrant(t *testing.T) {
	f := NoKV(function.Spec{Name: "stats"})
	for op := range abi.KVOp(7) {
		a := askKV(t, f, abi.KVRequest{Op: op, Key: "k"})
		require.Equal(t, abi.KVAnswer{Kind: abi.Denied, Message: `kv_start: not granted; add kv = "16MiB" to function stats in functions.toml`}, a)
	}
}

func TestFunctionsDoNotSeeEachOthersKeys(t *testing.T) {
	kv := openKV(t, KVOptions{})
	a, b := keysOf(t, kv, "a"), keysOf(t, kv, "a-b")
	for _, key := range []string{"k", "-b.k", ".k", "*", ">", "spore-a-b.k", "../a-b/k"} {
		require.Equal(t, abi.None, askKV(t, a, abi.KVRequest{Op: abi.KVPut, Key: key, Body: []byte("a's")}).Kind)
	}
	require.Empty(t, askKV(t, b, abi.KVRequest{Op: abi.KVList}).Keys)
	for _, name := range []string{"a.b", "*", ">", "", "A"} {
		_, err := kv.For(function.Spec{Name: name, KV: 1 << 20})
		require.Equal(t, abi.Invalid, function.KindOf(err), name)
	}
}

// TestUnreadAnswersAreBounded holds answers until there is no place for another.
func TestUnreadAnswersAreBounded(t *testing.T) {
	kv := openKV(t, KVOptions{PerFunction: 3, Total: 4})
	a, b := keysOf(t, kv, "a"), keysOf(t, kv, "b")
	var releases []func()
	hold := func(f *FunctionKV, want abi.Kind, message string) {
		t.Helper()
		answer, release := f.Do(t.Context(), &abi.KVRequest{Op: abi.KVList})
		require.Equal(t, want, answer.Kind)
		require.Contains(t, answer.Message, message)
		releases = append(releases, release)
	}
	for range 3 {
		hold(a, abi.None, "")
	}
	hold(a, abi.Overloaded, "function a has too many")
	hold(b, abi.None, "")
	hold(b, abi.Overloaded, "the host has too many")
	for _, release := range releases {
		release()
		release() // once is enough
	}
	for range 3 {
		hold(a, abi.None, "")
	}
	hold(a, abi.Overloaded, "function a has too many")
}

func TestAKeyValueOperationEndsWithItsContext(t *testing.T) {
	f := keysOf(t, openKV(t, KVOptions{PerFunction: 1}), "f")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 { // and gives its place back
		a, release := f.Do(ctx, &abi.KVRequest{Op: abi.KVPut, Key: "k"})
		release()
		require.Equal(t, abi.Deadline, a.Kind, a.Message)
	}
}

// TestKeyValueHammer has many write and read at once, more than there are places.
func TestKeyValueHammer(t *testing.T) {
	kv := openKV(t, KVOptions{PerFunction: 8, Total: 12})
	var created, full atomic.Int64
	var wg sync.WaitGroup
	functions := []*FunctionKV{keysOf(t, kv, "a"), keysOf(t, kv, "b")}
	for g := range 24 {
		wg.Go(func() {
			for i := range 40 {
				key := fmt.Sprint("k", i)
				a, release := functions[g%2].Do(t.Context(), &abi.KVRequest{Op: abi.KVUpdate, Key: key})
				release()
				switch a.Kind {
				case abi.None:
					created.Add(1)
				case abi.Overloaded:
					full.Add(1)
				case abi.Conflict:
				default:
					t.Errorf("%v: %s", a.Kind, a.Message)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, created.Load(), int64(80))
	require.Positive(t, created.Load())
	for _, f := range functions {
		require.Empty(t, f.open.own, "every place was given back")
	}
	require.Empty(t, kv.open)
}
