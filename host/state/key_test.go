package state

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
)

// hostileKeys are keys that mean something to somebody on the way.
var hostileKeys = []string{".", "..", "*", ">", "a.b", "a.*", "a.>", " ", "\t", "\r\n", "\x00", "=", "==", "=2E", "=2e", "$JS.API.>", "_INBOX.x",
	"/", "../../etc/passwd", "ключ", "日本", "😀", "a=", "A", "a", strings.Repeat("k", abi.MaxKVKey), strings.Repeat("\x01", abi.MaxKVKey)}

func TestAnyKeyIsItself(t *testing.T) {
	b, ctx := fresh(t), t.Context()
	for _, key := range hostileKeys {
		_, err := b.Update(ctx, key, []byte(key), 0, 0)
		require.NoError(t, err, "%q", key)
	}
	for _, key := range hostileKeys {
		e, err := b.Get(ctx, key)
		require.NoError(t, err, "%q", key)
		require.Equal(t, key, string(e.Value))
		keys, _, err := b.List(ctx, key, "", 0)
		require.NoError(t, err)
		require.Contains(t, keys, key)
		for _, k := range keys {
			require.True(t, strings.HasPrefix(k, key))
		}
	}
	keys, more, err := b.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.False(t, more)
	require.ElementsMatch(t, hostileKeys, keys)
	require.IsIncreasing(t, keys)
	for _, key := range hostileKeys {
		require.NoError(t, b.Delete(ctx, key, 0))
	}
	keys, _, err = b.List(ctx, "", "", 0)
	require.NoError(t, err)
	require.Empty(t, keys)
}

func FuzzEscape(f *testing.F) {
	for _, key := range hostileKeys {
		f.Add(key)
	}
	f.Add("=41")
	f.Fuzz(func(t *testing.T, s string) {
		token := escape(s)
		require.NotContains(t, token, ".")
		require.False(t, strings.ContainsAny(token, "*> \t\r\n\x00"))
		back, ok := unescape(token)
		require.True(t, ok)
		require.Equal(t, s, back)
		if key, ok := unescape(s); ok {
			require.Equal(t, s, escape(key), "one key has one token")
		}
	})
}
