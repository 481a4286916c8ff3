package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/host/function"
)

// TestTheReadmeHasAllKeysWithTheirDefaults holds the README's functions.toml to the
// code: it is valid, knows every key, and what it calls a default is one.
func TestTheReadmeHasAllKeysWithTheirDefaults(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(readme), "\n## functions.toml\n")
	require.True(t, ok)
	_, block, _ := strings.Cut(section, "```toml\n")
	block, _, ok = strings.Cut(block, "```\n")
	require.True(t, ok)

	cfg, err := parseAlone("/srv/functions.toml", []byte(block))
	require.NoError(t, err)
	bare, err := parseAlone("/srv/functions.toml", nil)
	require.NoError(t, err)
	require.Equal(t, bare.Host, cfg.Host)
	limits := function.DefaultLimits
	limits.ResponseTimeout = limits.Timeout
	require.Equal(t, limits, cfg.Functions[0].Limits)

	full, err := os.ReadFile("testdata/valid/full.toml")
	require.NoError(t, err)
	keys := regexp.MustCompile(`(?m)^(\w+) *=`).FindAllStringSubmatch(string(full), -1)
	require.NotEmpty(t, keys)
	for _, key := range append(keys, []string{"", "env"}, []string{"", "directory"}, []string{"", "module"}) {
		require.Regexp(t, `(?m)(^|# |or )`+key[1]+` = |\.`+key[1]+`\]\]`, block, key[1])
	}
}
