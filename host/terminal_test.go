package main

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestADumbTerminalIsNotSteered: an editor's shell window, say, shows what steers others.
func TestADumbTerminalIsNotSteered(t *testing.T) {
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	require.NoError(t, err)
	defer terminal.Close()
	for name, want := range map[string]bool{"xterm": true, "": true, "dumb": false} {
		t.Setenv("TERM", name)
		t.Setenv("NO_COLOR", "")
		require.Equal(t, want, canWipe(terminal), name)
		require.Equal(t, want, wantsColour(terminal), name)
		t.Setenv("NO_COLOR", "1")
		require.Equal(t, want, canWipe(terminal), name)
		require.False(t, wantsColour(terminal))
	}
	require.False(t, canWipe(new(buffer)))
}

func TestATerminalShowsWhatWouldSteerIt(t *testing.T) {
	var out buffer
	require.NoError(t, printVisible(&out, "one\twörd\r\n\x1b[2Jtwo\n\x89PNG \u202ethree"))
	require.Equal(t, "one\twörd\n\\x1b[2Jtwo\n\\x89PNG \\u202ethree\n", out.String())
}

// TestProgressStaysOnItsLine: what a narrow terminal continues on the next line, a wipe of
// that line leaves standing.
func TestProgressStaysOnItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		quit := make(chan struct{})
		go spin(&out, "building greet", quit)
		time.Sleep(600 * time.Millisecond)
		close(quit)
		synctest.Wait()
		require.Equal(t, wipe+"\x1b[?7lbuilding greet … 0.5s\x1b[?7h"+wipe, out.String())
	})
}
