package registry_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/registry"
)

func TestIdentityIsTheDigest(t *testing.T) {
	var r registry.Registry
	one, fresh := r.Publish("stats", "aa", time.Unix(1, 0))
	require.True(t, fresh)
	two, _ := r.Publish("stats", "bb", time.Unix(2, 0))
	again, fresh := r.Publish("stats", "aa", time.Unix(3, 0))
	require.False(t, fresh)
	require.Equal(t, one, again)
	require.Equal(t, []int{1, 2}, []int{one.Number, two.Number})
}

func TestLivePointer(t *testing.T) {
	var r registry.Registry
	_, ok := r.Live("stats")
	require.False(t, ok, "an unknown function is not live")
	v, _ := r.Publish("stats", "aa", time.Unix(1, 0))
	_, ok = r.Live("stats")
	require.False(t, ok, "publishing does not make live")
	require.NoError(t, r.SetLive("stats", v.Number))
	live, ok := r.Live("stats")
	require.True(t, ok)
	require.Equal(t, v, live)
	require.Equal(t, abi.NotFound, function.KindOf(r.SetLive("stats", 2)))
	require.Equal(t, abi.NotFound, function.KindOf(r.SetLive("other", 1)))
	r.Remove("stats")
	_, ok = r.Live("stats")
	require.False(t, ok)
}

func TestPublishFromManySidesGivesEachDigestOneNumber(t *testing.T) {
	var r registry.Registry
	var wg sync.WaitGroup
	numbers := make([]int, 64)
	for i := range numbers {
		wg.Go(func() {
			v, _ := r.Publish("f", fmt.Sprint(i%8), time.Time{})
			numbers[i] = v.Number
		})
	}
	wg.Wait()
	for i, n := range numbers {
		require.Equal(t, numbers[i%8], n)
		require.True(t, 1 <= n && n <= 8)
	}
}
