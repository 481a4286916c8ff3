package registry_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/host/registry"
)

func TestIdentityIsTheDigest(t *testing.T) {
	var r registry.Registry
	require.Equal(t, 1, r.Publish("stats", "aa"))
	require.Equal(t, 2, r.Publish("stats", "bb"))
	require.Equal(t, 1, r.Publish("stats", "aa"))
	require.Equal(t, 1, r.Publish("other", "bb"), "each function counts for itself")
}

func TestPublishFromManySidesGivesEachDigestOneNumber(t *testing.T) {
	var r registry.Registry
	var wg sync.WaitGroup
	numbers := make([]int, 64)
	for i := range numbers {
		wg.Go(func() { numbers[i] = r.Publish("f", fmt.Sprint(i%8)) })
	}
	wg.Wait()
	for i, n := range numbers {
		require.Equal(t, numbers[i%8], n)
		require.True(t, 1 <= n && n <= 8)
	}
}
