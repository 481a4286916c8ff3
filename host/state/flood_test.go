package state

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
)

// TestManyLargeValuesAtOnce asks for far more than the server keeps ready for one
// connection, and for as much that nobody waits for: it would end the connection.
func TestManyLargeValuesAtOnce(t *testing.T) {
	s, ctx := open(t, Options{Directory: t.TempDir()}), t.Context()
	var wg sync.WaitGroup
	var got atomic.Int64
	const buckets, each = 4, 64
	for i := range buckets {
		b := bucket(t, s, string(rune('a'+i)), 8<<20)
		_, err := b.Put(ctx, "big", make([]byte, abi.MaxKVValue), 0)
		require.NoError(t, err)
		for range each {
			wg.Go(func() {
				left, leave := context.WithCancel(ctx)
				go leave()
				_, _ = b.Get(left, "big")
				e, err := b.Get(ctx, "big")
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				got.Add(int64(len(e.Value)))
			})
		}
	}
	wg.Wait()
	require.Equal(t, int64(buckets*each*abi.MaxKVValue), got.Load())
}

// TestAConnectionThatEndsIsMadeAgain, also one to a cluster, whose client gives up
// when it is refused twice.
func TestAConnectionThatEndsIsMadeAgain(t *testing.T) {
	for name, opt := range map[string]Options{
		"of this process": {Directory: t.TempDir()},
		"of a cluster":    {URL: cluster(t, true).ClientURL()},
	} {
		t.Run(name, func(t *testing.T) {
			b, ctx := bucket(t, open(t, opt), "f", 1<<20), t.Context()
			_, err := b.Put(ctx, "k", []byte("v"), 0)
			require.NoError(t, err)
			broken := b.handle.of
			broken.nc.Close()
			<-broken.ended
			_, err = b.Get(ctx, "k")
			requireKind(t, abi.Unavailable, err)
			require.NotContains(t, err.Error(), "stopping")
			b.state.mu.Lock()
			b.state.failed = time.Time{}
			b.state.mu.Unlock()
			e, err := b.Get(ctx, "k")
			require.NoError(t, err)
			require.Equal(t, "v", string(e.Value))
		})
	}
}

// TestListsThatNobodyWaitsFor are asked for and left, as many as a guest likes: the
// server works on each of them all the same, and on others' only afterwards.
func TestListsThatNobodyWaitsFor(t *testing.T) {
	s, ctx := open(t, Options{Directory: t.TempDir()}), t.Context()
	b := bucket(t, s, "f", 8<<20)
	for i := range 500 {
		_, err := b.Put(ctx, fmt.Sprint(i, strings.Repeat(" ", 500)), nil, 0)
		require.NoError(t, err)
	}
	var most uint64
	for range 100 {
		left, leave := context.WithTimeout(ctx, 200*time.Microsecond)
		_, _, err := b.List(left, "", "", 0)
		requireKind(t, abi.Deadline, err)
		leave()
		at, err := b.handle.of.server.Jsz(nil)
		require.NoError(t, err)
		most = max(most, at.API.Inflight)
	}
	require.LessOrEqual(t, most, uint64(maxListing), "lists that the server works on")
}
