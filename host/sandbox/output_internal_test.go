package sandbox

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"spore/abi"
)

// TestALongLineIsCutBetweenCharacters writes it in pieces that end within one.
func TestALongLineIsCutBetweenCharacters(t *testing.T) {
	said := "x" + strings.Repeat("é", 5000) + strings.Repeat("🌄", 5000) + strings.Repeat("\xa9\xf0", 1000) // the last are none
	var lines []string
	r := &run{can: &Capabilities{Log: func(_ string, rec abi.LogRecord) { lines = append(lines, rec.Message) }}}
	for rest := said; rest != ""; {
		n := min(len(rest), 4095)
		r.output.write(r, 0, []byte(rest[:n]))
		rest = rest[n:]
	}
	r.output.flush(r)
	require.Equal(t, said, strings.Join(lines, ""))
	for i, line := range lines {
		require.LessOrEqual(t, len(line), maxLineBytes)
		if i < 3 {
			require.True(t, utf8.ValidString(line), "line %d ends with %q", i, line[len(line)-8:])
		}
	}
}
