package secret

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
)

func TestGetReturnsTheWholeValue(t *testing.T) {
	for name, want := range map[string]string{
		"an empty value":                     "",
		"a short value":                      "abc",
		"a value of the first buffer's size": strings.Repeat("x", 256),
		"a value one byte larger":            strings.Repeat("y", 257),
		"a long value":                       strings.Repeat("z", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := get("KEY", func(name string, buf []byte) int32 {
				require.Equal(t, "KEY", name)
				if len(want) <= len(buf) {
					copy(buf, want)
				}
				return int32(len(want))
			})
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestGetFollowsAValueThatGrowsMeanwhile(t *testing.T) {
	sizes := []int{300, 500, 400}
	got, err := get("KEY", func(_ string, buf []byte) int32 {
		n := sizes[0]
		sizes = sizes[1:]
		if n <= len(buf) {
			copy(buf, strings.Repeat("v", n))
		}
		return int32(n)
	})
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("v", 400), got)
}

func TestAnErrorCarriesKindAndName(t *testing.T) {
	for kind, text := range map[abi.Kind]string{
		abi.Denied:   "denied: there is no host outside a sandbox; see spore/guest/guesttest for tests",
		abi.NotFound: "not_found",
		abi.Internal: "internal",
	} {
		_, err := get("API_KEY\n", func(string, []byte) int32 { return kind.Errno() })
		require.Equal(t, kind, guest.KindOf(err))
		require.EqualError(t, err, `read secret "API_KEY\n": `+text)
	}
}

func TestOutsideASandboxSecretsAreDenied(t *testing.T) {
	_, err := Get("KEY")
	require.Equal(t, abi.Denied, guest.KindOf(err))
}
