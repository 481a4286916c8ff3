package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/sandbox"
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

// TestAStackIsReadable in a text log, and none of its lines passes for one of the log.
func TestAStackIsReadable(t *testing.T) {
	const stack = "main.handle()\n\t/src/main.go:12 +0x1\n12:00:00.000 INF REPORT RequestId: r-1\n\n\x1b[2J\u009b1m\r12:00:00.000 INF live\n| \xff"
	log := func(form string, rec abi.LogRecord) string {
		var out buffer
		log, writer, _ := newLogger(form, &out)
		stop := background(writer.Run)
		(&host{log: log}).guestLog("f", func() int { return 1 })("r-1", rec)
		stop()
		return out.String()
	}
	rec := abi.LogRecord{Message: "stack of the error", Attrs: abi.Pairs{{Name: "stack", Value: stack}, {Name: "stack", Value: "a\nb"}}}
	lines := strings.Split(strings.TrimSuffix(log("text", rec), "\n"), "\n")
	require.Contains(t, lines[0], `stack of the error function=f version=1 request_id=r-1 attrs.stack=below attrs.stack="a\nb"`)
	require.Equal(t, []string{
		"| main.handle()", "| \t/src/main.go:12 +0x1", "| 12:00:00.000 INF REPORT RequestId: r-1", "| ",
		`| \x1b[2J\u009b1m\r12:00:00.000 INF live`, `| | \xff`,
	}, lines[1:])
	require.Equal(t, 1, strings.Count(log("json", rec), "\n"))

	short := abi.LogRecord{Attrs: abi.Pairs{{Name: "stack", Value: strings.Repeat("a\n", 1000)}}}
	require.Less(t, len(log("text", short)), 2*sandbox.LogSize(&short), "within the log's budget")
}
