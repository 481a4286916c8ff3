package config

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestBoundsAreWhatTheHintsSay: both ends of every range are accepted, and what lies next
// to them is refused.
func TestBoundsAreWhatTheHintsSay(t *testing.T) {
	for key, values := range map[string][4]string{ // below, lowest, highest, above
		"host.concurrency":        {"0", "1", "100000", "100001"},
		"host.memory":             {"'16383KiB'", "'16MiB'", "'16384GiB'", "'16385GiB'"},
		"function.f.concurrency":  {"0", "1", "100000", "100001"},
		"function.f.memory":       {"'1023KiB'", "'1MiB'", "'4095MiB'", "'4193281KiB'"},
		"function.f.kv":           {"'63KiB'", "'64KiB'", "'16GiB'", "'16777217KiB'"},
		"function.f.timeout":      {"'9999us'", "'10ms'", "'15m'", "'15m1ms'"},
		"function.f.init_timeout": {"'9999us'", "'10ms'", "'15m'", "'15m1ms'"},
	} {
		for i, value := range values {
			doc := fmt.Sprintf("function.f.source = 'f'\n%s = %s\n", key, value)
			if key == "host.memory" { // which no function may have more than
				doc += "function.f.memory = '1MiB'\n"
			}
			_, err := parseAlone("f.toml", []byte(doc))
			if i == 0 || i == 3 {
				require.ErrorContains(t, err, "f.toml:2: "+key+": is ", "%s", doc)
			} else {
				require.NoError(t, err, "%s", doc)
			}
		}
	}
}

func TestWhatAFileSaysIsCutAtACharacter(t *testing.T) {
	require.Equal(t, strings.Repeat("a", 200), clip(strings.Repeat("a", 200)))
	require.Equal(t, strings.Repeat("a", 200)+"...", clip(strings.Repeat("a", 201)))
	require.Equal(t, "a"+strings.Repeat("é", 99)+"...", clip("a"+strings.Repeat("é", 200)))
	require.True(t, utf8.ValidString(clip(strings.Repeat("日", 200))))
	require.Equal(t, "...", clip(strings.Repeat("\x80", 201)), "what is no UTF-8 begins nowhere")
}
