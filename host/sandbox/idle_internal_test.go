package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIdleInstancesAreHandedOutOnce: whoever takes one out, for an event or to close it,
// is the only one to have it, also when the image is closed meanwhile.
func TestIdleInstancesAreHandedOutOnce(t *testing.T) {
	var p idle
	all := []*instance{{}, {}, {}, {}}
	for _, inst := range all {
		require.True(t, p.put(inst))
	}
	p.fewest = len(all) // as since the trim before
	require.Same(t, all[3], p.take(), "the one used last is warm")
	require.Equal(t, all[:3], p.trim(), "three were never needed")
	require.Nil(t, p.take())
	require.True(t, p.put(all[3]))
	require.Empty(t, p.trim(), "it was needed")
	require.Equal(t, all[3:], p.close())
	require.Empty(t, p.trim())
	require.Empty(t, p.close())
	require.False(t, p.put(all[3]))
	require.Nil(t, p.take())
}

// TestX2IdleInstancesAreBoundedInBytes too, but for one of them.
func TestX2IdleInstancesAreBoundedInBytes(t *testing.T) {
	var p idle
	large, half := &instance{takes: maxIdleBytes + 1}, &instance{takes: maxIdleBytes / 2}
	require.True(t, p.put(large))
	require.False(t, p.put(half))
	require.Same(t, large, p.take())
	for range maxIdle {
		require.True(t, p.put(half))
		require.True(t, p.put(half))
		require.False(t, p.put(&instance{takes: 1}))
		p.fewest = 1
		require.Len(t, p.trim(), 1)
		require.Same(t, half, p.take())
	}
	for range maxIdle {
		require.True(t, p.put(&instance{takes: 1}))
	}
	require.False(t, p.put(&instance{takes: 1}), "nor more than that many")
}

// TestWhatIsGoneHasNoMoreUsers: its mappings and code are freed.
func TestWhatIsGoneHasNoMoreUsers(t *testing.T) {
	var gone, there resident
	there.users.Store(1)
	require.False(t, gone.acquire())
	require.True(t, there.acquire())
	require.Equal(t, int64(2), there.users.Load())
}
