package state

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// clock is a time that a test sets.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time           { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(by time.Duration) { c.ns.Add(int64(by)) }

func open(t testing.TB, opt Options) *State {
	t.Helper()
	s, err := Open(t.Context(), opt)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func bucket(t testing.TB, s *State, name string, maxBytes int64) *Bucket {
	t.Helper()
	b, err := s.Bucket(name, maxBytes)
	require.NoError(t, err)
	return b
}

// fresh is a bucket of a megabyte in a store of its own.
func fresh(t testing.TB) *Bucket {
	return bucket(t, open(t, Options{Directory: t.TempDir()}), "f", 1<<20)
}

func requireKind(t testing.TB, kind abi.Kind, err error, args ...any) {
	t.Helper()
	require.Equal(t, kind, function.KindOf(err), append([]any{fmt.Sprint(err)}, args...)...)
}

func TestWhatWasPutIsThere(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	_, err := b.Get(ctx, "k")
	requireKind(t, abi.NotFound, err)
	first, err := b.Put(ctx, "k", []byte("one"), 0)
	require.NoError(t, err)
	second, err := b.Put(ctx, "k", nil, 0)
	require.NoError(t, err)
	require.Greater(t, second, first)
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, Entry{Value: []byte{}, Revision: second}, e)
	require.NoError(t, b.Delete(ctx, "k", 0))
	require.NoError(t, b.Delete(ctx, "k", 0), "deleting what is not there is fine")
	_, err = b.Get(ctx, "k")
	requireKind(t, abi.NotFound, err)
}

func TestUpdateWantsTheRevision(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	_, err := b.Update(ctx, "k", []byte("a"), 0, 7)
	requireKind(t, abi.Conflict, err, "a revision of a key that is not there")
	first, err := b.Update(ctx, "k", []byte("a"), 0, 0)
	require.NoError(t, err)
	_, err = b.Update(ctx, "k", []byte("b"), 0, 0)
	requireKind(t, abi.Conflict, err, "there is one already")
	second, err := b.Update(ctx, "k", []byte("b"), 0, first)
	require.NoError(t, err)
	_, err = b.Update(ctx, "k", []byte("c"), 0, first)
	requireKind(t, abi.Conflict, err, "an old revision")
	requireKind(t, abi.Conflict, b.Delete(ctx, "k", first))
	require.NoError(t, b.Delete(ctx, "k", second))
	requireKind(t, abi.Conflict, b.Delete(ctx, "k", second))
	third, err := b.Update(ctx, "k", []byte("d"), 0, 0)
	require.NoError(t, err)
	require.Greater(t, third, second, "revisions rise, also of a key that was deleted")
}

func TestAnExpiredKeyIsNotThere(t *testing.T) {
	c := newClock()
	b, ctx := bucket(t, open(t, Options{Directory: t.TempDir(), Now: c.now}), "f", 1<<20), t.Context()
	first, err := b.Put(ctx, "k", []byte("v"), time.Minute)
	require.NoError(t, err)
	c.advance(time.Minute - 1)
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, c.now().Add(1).UnixNano(), e.Expires.UnixNano())
	c.advance(1)
	_, err = b.Get(ctx, "k")
	requireKind(t, abi.NotFound, err)
	keys, _, err := b.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.Empty(t, keys)
	_, err = b.Update(ctx, "k", []byte("w"), 0, first)
	requireKind(t, abi.Conflict, err, "what has expired is at no revision")
	requireKind(t, abi.Conflict, b.Delete(ctx, "k", first))
	second, err := b.Update(ctx, "k", []byte("w"), time.Nanosecond, 0)
	require.NoError(t, err, "what has expired does not stand in the way of a new one")
	e, err = b.Get(ctx, "k")
	require.NoError(t, err, "an expiry is rounded up to a millisecond")
	require.Equal(t, second, e.Revision)
	_, err = b.Put(ctx, "k", nil, 0)
	require.NoError(t, err)
	c.advance(100 * 365 * 24 * time.Hour)
	_, err = b.Get(ctx, "k")
	require.NoError(t, err, "a new value does not keep the old one's expiry")
}

// TestWhatHasExpiredLeavesTheDisk looks at the stream: its messages carry a time to
// live for the server, which is what removes them.
func TestWhatHasExpiredLeavesTheDisk(t *testing.T) {
	b := fresh(t)
	_, err := b.Put(t.Context(), "k", []byte("v"), 1500*time.Millisecond)
	require.NoError(t, err)
	msg, err := b.handle.GetLastMsgForSubject(t.Context(), "$KV.spore-f.k")
	require.NoError(t, err)
	require.Equal(t, "62", msg.Header.Get("Nats-TTL"))
	require.True(t, b.handle.CachedInfo().Config.AllowMsgTTL)
}

func TestOneOfManyWins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Directory: dir})
	const writers, rounds = 16, 20
	for round := range rounds {
		key := fmt.Sprint("k", round)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for w := range writers {
			b := bucket(t, s, "f", 1<<20)
			wg.Go(func() {
				switch _, err := b.Update(t.Context(), key, fmt.Append(nil, w), time.Hour, 0); function.KindOf(err) {
				case abi.None:
					won.Add(1)
				case abi.Conflict:
					lost.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), won.Load())
		require.Equal(t, int64(writers-1), lost.Load())
	}
}

// TestManyDelete the same key at once: that another one did it first is fine, or a Conflict
// for who wants a revision.
func TestManyDelete(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	for range 20 {
		revision, err := b.Put(ctx, "k", nil, 0)
		require.NoError(t, err)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if i%2 == 0 {
					if err := b.Delete(ctx, "k", 0); err != nil {
						t.Errorf("%v", err)
					}
					return
				}
				switch err := b.Delete(ctx, "k", revision); function.KindOf(err) {
				case abi.None:
					won.Add(1)
				case abi.Conflict:
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, won.Load(), int64(1))
		_, err = b.Get(ctx, "k")
		requireKind(t, abi.NotFound, err)
	}
}

// TestNoIncrementIsLost has writers count together by compare-and-set, deletes in
// between, and must find every increment.
func TestNoIncrementIsLost(t *testing.T) {
	b := fresh(t)
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				e, err := b.Get(t.Context(), "n")
				if err != nil && function.KindOf(err) != abi.NotFound {
					t.Errorf("%v", err)
					return
				}
				if _, err := b.Update(t.Context(), "n", append(e.Value, 'x'), 0, e.Revision); err == nil {
					done++
				}
			}
		})
	}
	wg.Wait()
	e, err := b.Get(t.Context(), "n")
	require.NoError(t, err)
	require.Len(t, e.Value, writers*each)
}

func TestARestartKeepsEverything(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s, err := Open(ctx, Options{Directory: dir})
	require.NoError(t, err)
	b := bucket(t, s, "f", 1<<20)
	kept, err := b.Put(ctx, "kept", []byte("v"), time.Hour)
	require.NoError(t, err)
	_, err = b.Put(ctx, "gone", []byte("v"), 0)
	require.NoError(t, err)
	require.NoError(t, b.Delete(ctx, "gone", 0))
	s.Close()
	_, err = b.Get(ctx, "kept")
	requireKind(t, abi.Unavailable, err, "after Close")

	b = bucket(t, open(t, Options{Directory: dir}), "f", 1<<20)
	e, err := b.Get(ctx, "kept")
	require.NoError(t, err)
	require.Equal(t, kept, e.Revision)
	require.False(t, e.Expires.IsZero())
	_, err = b.Get(ctx, "gone")
	requireKind(t, abi.NotFound, err)
	next, err := b.Put(ctx, "gone", nil, 0)
	require.NoError(t, err)
	require.Greater(t, next, kept+1, "a revision is never given twice")
}

// TestAKeyThatWasDeletedStaysSo after a crash, which a copy of the files is: the server then
// reads what was written, and believes no value to be gone of which it finds no removal.
func TestAKeyThatWasDeletedStaysSo(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	b := bucket(t, open(t, Options{Directory: dir}), "f", 1<<20)
	for _, key := range []string{"other", "k", "k", "l", "l"} {
		_, err := b.Put(ctx, key, []byte(key), 0)
		require.NoError(t, err)
	}
	require.NoError(t, b.Delete(ctx, "k", 0))
	last, err := b.Put(ctx, "other", nil, 0)
	require.NoError(t, err)

	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	b = bucket(t, open(t, Options{Directory: copied}), "f", 1<<20)
	keys, _, err := b.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.Equal(t, []string{"l", "other"}, keys)
	_, err = b.Get(ctx, "k")
	requireKind(t, abi.NotFound, err)
	next, err := b.Put(ctx, "k", nil, 0)
	require.NoError(t, err)
	require.Greater(t, next, last)
}

// TestWhatWasReplacedLeavesTheDisk, also where something that stays lies between: a bucket
// of 4 MiB takes no 50 for long.
func TestWhatWasReplacedLeavesTheDisk(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	b := bucket(t, open(t, Options{Directory: dir}), "f", 4<<20)
	for i := range 200 {
		_, err := b.Put(ctx, "replaced", make([]byte, 256<<10), 0)
		require.NoError(t, err)
		_, err = b.Put(ctx, fmt.Sprint("stays", i), nil, 0)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		var size int64
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			info, err := os.Stat(path)
			if err == nil {
				size += info.Size()
			}
			return nil // a file that is gone meanwhile
		})
		return err == nil && size < 8<<20
	}, 20*time.Second, 10*time.Millisecond)
}

// TestAValueThatACrashLeft behind a newer one goes with it.
func TestAValueThatACrashLeft(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	_, err := b.Put(ctx, "k", []byte("old"), 0)
	require.NoError(t, err)
	leave := func() { // as if the host had ended before the old value was removed
		_, err := b.handle.of.js.Publish(ctx, "$KV.spore-f.k", []byte("new"))
		require.NoError(t, err)
		info, err := b.handle.Info(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 2, info.State.Msgs)
	}
	leave()
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "new", string(e.Value))
	require.NoError(t, b.Delete(ctx, "k", e.Revision))
	_, err = b.Get(ctx, "k")
	requireKind(t, abi.NotFound, err)

	_, err = b.Put(ctx, "k", []byte("old"), 0)
	require.NoError(t, err)
	leave()
	_, err = b.Put(ctx, "k", []byte("newer"), 0)
	require.NoError(t, err)
	info, err := b.handle.Info(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.State.Msgs)
}

// TestABucketOfAnEarlierVersion is one that NATS's tools would make.
func TestABucketOfAnEarlierVersion(t *testing.T) {
	s, ctx := open(t, Options{Directory: t.TempDir()}), t.Context()
	_, err := s.live.js.CreateStream(ctx, jetstream.StreamConfig{Name: "KV_spore-f", Subjects: []string{"$KV.spore-f.>"},
		MaxMsgsPerSubject: 1, MaxBytes: 1 << 20, Discard: jetstream.DiscardNew, AllowDirect: true, AllowMsgTTL: true})
	require.NoError(t, err)
	_, err = s.live.js.Publish(ctx, "$KV.spore-f.k", []byte("old"))
	require.NoError(t, err)
	b := bucket(t, s, "f", 1<<20)
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "old", string(e.Value))
	_, err = b.Put(ctx, "k", []byte("new"), 0)
	require.NoError(t, err)
	info, err := b.handle.Info(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.State.Msgs)
	require.Greater(t, info.Config.MaxMsgsPerSubject, int64(1))
}

// TestEveryWriteIsSynced holds the setting that makes "acknowledged" mean "on disk";
// the server uses it for every stream.
func TestEveryWriteIsSynced(t *testing.T) {
	b := fresh(t)
	_, err := b.Put(t.Context(), "k", nil, 0)
	require.NoError(t, err)
	require.True(t, serverOptions("x").SyncAlways)
	require.True(t, b.handle.of.server.JetStreamConfig().SyncAlways)
	require.Equal(t, "Default", b.handle.CachedInfo().Config.PersistMode.String())
}

func TestBucketsAreApart(t *testing.T) {
	s, ctx := open(t, Options{Directory: t.TempDir()}), t.Context()
	names := []string{"a", "a-b", "ab", "a-b-c", "f", strings.Repeat("z", 63)}
	for _, name := range names {
		_, err := bucket(t, s, name, 1<<20).Put(ctx, "of", []byte(name), 0)
		require.NoError(t, err)
	}
	for _, name := range names {
		b := bucket(t, s, name, 1<<20)
		e, err := b.Get(ctx, "of")
		require.NoError(t, err)
		require.Equal(t, name, string(e.Value))
		for _, key := range []string{"*", ">", "b.of", "*.of", "../a/of", "of\r\nx", "$KV.spore-a.of", "=2A", "of "} {
			_, err := b.Get(ctx, key)
			requireKind(t, abi.NotFound, err, key)
			require.NoError(t, b.Delete(ctx, key, 0))
		}
		keys, more, err := b.List(ctx, "", "", 0)
		require.NoError(t, err)
		require.False(t, more)
		require.Equal(t, []string{"of"}, keys)
	}
	for _, name := range []string{"", "a.b", "*", ">", "A", "a_b", "a b", "../a", "ä", strings.Repeat("z", 64)} {
		_, err := s.Bucket(name, 1<<20)
		requireKind(t, abi.Invalid, err, name)
	}
}

func TestKeysAndValuesThatAreRefused(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	for key, kind := range map[string]abi.Kind{"": abi.Invalid, "\xff": abi.Invalid, "a\xc0\x80": abi.Invalid, strings.Repeat("k", abi.MaxKVKey+1): abi.TooLarge} {
		_, err := b.Get(ctx, key)
		requireKind(t, kind, err, key)
		_, err = b.Put(ctx, key, nil, 0)
		requireKind(t, kind, err, key)
		_, err = b.Update(ctx, key, nil, 0, 0)
		requireKind(t, kind, err, key)
		requireKind(t, kind, b.Delete(ctx, key, 0), key)
	}
	_, err := b.Put(ctx, "k", nil, -1)
	requireKind(t, abi.Invalid, err)
	_, err = b.Put(ctx, "k", nil, MaxExpiry+1)
	requireKind(t, abi.Invalid, err)
	_, err = b.Put(ctx, "k", make([]byte, abi.MaxKVValue+1), 0)
	requireKind(t, abi.TooLarge, err)
	big := bucket(t, b.state, "big", 3<<20)
	_, err = big.Put(ctx, strings.Repeat("\x01", abi.MaxKVKey), make([]byte, abi.MaxKVValue), time.Hour)
	require.NoError(t, err)
}

func TestPages(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("p/%02d", i))
		_, err := b.Put(ctx, want[i], nil, 0)
		require.NoError(t, err)
	}
	for _, other := range []string{"p", "o/z", "p0", "q"} {
		_, err := b.Put(ctx, other, nil, 0)
		require.NoError(t, err)
	}
	var got []string
	after, more := "", true
	for more {
		var page []string
		var err error
		page, more, err = b.List(ctx, "p/", after, 10)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 10)
		got = append(got, page...)
		after = page[len(page)-1]
	}
	require.Equal(t, want, got)
	page, more, err := b.List(ctx, "p/", "", 25)
	require.NoError(t, err)
	require.Len(t, page, 25)
	require.False(t, more, "exactly as many as there are")
}

// TestListsTakeTurns, those of one bucket and those of others.
func TestListsTakeTurns(t *testing.T) {
	s := open(t, Options{Directory: t.TempDir()})
	a, b := bucket(t, s, "a", 1<<20), bucket(t, s, "b", 1<<20)
	s.listing <- struct{}{} // a list that takes long
	for _, waits := range []*Bucket{a, b} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _, err := waits.List(ctx, "", "", 0)
		cancel()
		requireKind(t, abi.Deadline, err)
		_, err = waits.Put(t.Context(), "k", nil, 0)
		require.NoError(t, err, "everything else goes on")
	}
	<-s.listing
	a.listing.own <- struct{}{} // a list of a's, in line: its others are not in line beside it
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := a.List(ctx, "", "", 0)
	requireKind(t, abi.Deadline, err)
	<-a.listing.own
	for _, goesOn := range []*Bucket{a, b} {
		_, _, err := goesOn.List(t.Context(), "", "", 0)
		require.NoError(t, err)
	}
}

// TestAPageFitsAFrame makes more bytes of keys than the head of a frame holds.
func TestAPageFitsAFrame(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	const n = 300
	for i := range n {
		_, err := b.Put(ctx, fmt.Sprintf("%03d%s", i, strings.Repeat("k", abi.MaxKVKey-3)), nil, 0)
		require.NoError(t, err)
	}
	page, more, err := b.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.True(t, more)
	require.LessOrEqual(t, len(page)*(abi.MaxKVKey+4), maxListBytes)
	rest, more, err := b.List(ctx, "", page[len(page)-1], 0)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, n, len(page)+len(rest))
}

func TestAFullBucketLosesNothing(t *testing.T) {
	s, ctx := open(t, Options{Directory: t.TempDir()}), t.Context()
	b := bucket(t, s, "f", 256<<10)
	value := make([]byte, 10<<10)
	written := 0
	var err error
	for ; err == nil; written++ {
		_, err = b.Put(ctx, fmt.Sprint("k", written), value, 0)
	}
	written--
	requireKind(t, abi.TooLarge, err)
	require.ErrorContains(t, err, "the bucket is full at 262144 bytes; delete keys, or raise kv of function f in functions.toml")
	require.InDelta(t, 25, written, 1)
	_, err = b.Put(ctx, "k0", value, 0)
	requireKind(t, abi.TooLarge, err, "a new value has to fit beside the old one")
	for i := range written {
		e, err := b.Get(ctx, fmt.Sprint("k", i))
		require.NoError(t, err)
		require.Len(t, e.Value, len(value))
	}
	require.NoError(t, b.Delete(ctx, "k1", 0))
	_, err = b.Put(ctx, "k0", value, 0)
	require.NoError(t, err, "there is room again")
	_, err = b.Put(ctx, "new", value, 0)
	require.NoError(t, err, "also for another key")

	smaller := bucket(t, s, "f", 64<<10)
	keys, _, err := smaller.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.Len(t, keys, written, "a smaller grant deletes nothing")
	_, err = smaller.Put(ctx, "more", nil, 0)
	requireKind(t, abi.TooLarge, err)
	larger := bucket(t, s, "f", 512<<10)
	_, err = larger.Put(ctx, "more", value, 0)
	require.NoError(t, err)
}

// TestABucketHasSoManyKeys: the stream is given a lower number, because so many writes take
// too long here.
func TestABucketHasSoManyKeys(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	_, err := b.Put(ctx, "a", nil, 0)
	require.NoError(t, err)
	config := b.handle.CachedInfo().Config
	require.EqualValues(t, maxKeys, config.MaxMsgs)
	config.MaxMsgs = 2
	_, err = b.handle.of.js.UpdateStream(ctx, config)
	require.NoError(t, err)
	_, err = b.Put(ctx, "b", nil, 0)
	require.NoError(t, err)
	_, err = b.Put(ctx, "c", nil, 0)
	requireKind(t, abi.TooLarge, err)
	require.ErrorContains(t, err, "the bucket is full at 20000 keys; delete some")
	require.NoError(t, b.Delete(ctx, "a", 0))
	_, err = b.Put(ctx, "c", nil, 0)
	require.NoError(t, err)
}

func TestAnOperationEndsWithItsContext(t *testing.T) {
	b := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Get(ctx, "k")
	requireKind(t, abi.Deadline, err)
	_, err = b.Put(ctx, "k", nil, 0)
	requireKind(t, abi.Deadline, err)
	requireKind(t, abi.Deadline, b.Delete(ctx, "k", 0))
	_, _, err = b.List(ctx, "", "", 0)
	requireKind(t, abi.Deadline, err)
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), Options{Directory: filepath.Join(file, "state")})
	requireKind(t, abi.Unavailable, err)
	require.ErrorContains(t, err, "set data in functions.toml to a directory you may write")
}

// TestCloseLeavesNothingBehind counts goroutines over several lives of a store.
func TestCloseLeavesNothingBehind(t *testing.T) {
	live := func() {
		s, err := Open(t.Context(), Options{Directory: t.TempDir()})
		require.NoError(t, err)
		_, err = bucket(t, s, "f", 1<<20).Put(t.Context(), "k", nil, 0)
		require.NoError(t, err)
		s.Close()
	}
	live() // what starts once for all
	before := runtime.NumGoroutine()
	for range 3 {
		live()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 5*time.Millisecond)
}

// TestAStoreThatFailedIsOpenedAgain ends JetStream as the server does by itself when
// the disk refuses.
func TestAStoreThatFailedIsOpenedAgain(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	_, err := b.Put(ctx, "k", []byte("v"), 0)
	require.NoError(t, err)
	b.handle.of.server.log.Errorf("critical write error: %v", "the disk is gone")
	<-b.handle.of.ended
	_, err = b.Get(ctx, "k")
	require.ErrorContains(t, err, "the disk is gone")
	b.state.mu.Lock()
	b.state.failed = time.Time{}
	b.state.mu.Unlock()
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "v", string(e.Value))
}

func BenchmarkState(b *testing.B) {
	f, ctx := fresh(b), b.Context()
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			_, err := f.Put(ctx, "k", []byte("value"), 0)
			require.NoError(b, err)
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			_, err := f.Get(ctx, "k")
			require.NoError(b, err)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			open(b, Options{Directory: b.TempDir()}).Close()
		}
	})
}
