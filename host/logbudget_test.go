package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/sandbox"
)

// TestG11AFunctionHasALogBudgetASecond: however many events it logs in, and other
// functions have their own.
func TestG11AFunctionHasALogBudgetASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log buffer
		h := &host{log: slog.New(slog.NewJSONHandler(&log, nil))}
		noisy := h.guestLog("noisy", func() int { return 1 })
		quiet := h.guestLog("quiet", func() int { return 1 })
		flood := func(lines int) {
			for range lines {
				noisy("r", abi.LogRecord{Message: strings.Repeat("n", 1000)})
			}
		}
		flood(700)
		time.Sleep(900 * time.Millisecond)
		flood(2300)
		quiet("r", abi.LogRecord{Message: "still heard"})
		passed := strings.Count(log.String(), "nnn\"")
		require.InDelta(t, maxLogSecond/1064, passed, 1, "with what the host adds, a line is 1,064 bytes")
		require.Contains(t, log.String(), "still heard")
		require.NotContains(t, log.String(), "truncated")

		time.Sleep(101 * time.Millisecond) // the second is over
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "truncated"))
		require.Regexp(t, `"level":"WARN","msg":"log truncated: over 1 MiB of one function in a second","function":"noisy","version":1,"dropped":`+strconv.Itoa(3000-passed), log.String())
		flood(10)
		time.Sleep(2 * time.Second)
		require.Equal(t, passed+10, strings.Count(log.String(), "nnn\""))
		require.Equal(t, 1, strings.Count(log.String(), "truncated"))
	})
}

// TestG11EmptyAttributesUseTheLogBudgetToo: each is a part of a line, and a record may have
// a thousand.
func TestG11EmptyAttributesUseTheLogBudgetToo(t *testing.T) {
	var log buffer
	h := &host{log: slog.New(slog.NewJSONHandler(&log, nil))}
	rec := abi.LogRecord{Message: "m", Attrs: make(abi.Pairs, abi.MaxPairs)}
	h.guestLog("f", func() int { return 1 })("r", rec)
	require.Less(t, len(log.String()), 2*sandbox.LogSize(&rec))
}

// TestG11WhatIsSpelledOutUsesTheLogBudgetToo: a byte may become six in the log.
func TestG11WhatIsSpelledOutUsesTheLogBudgetToo(t *testing.T) {
	for _, text := range []string{"\x01", "\x7f", "\xff", "\u009b", "\"", "\\", "\n", "\t", "\x01\"", "ü", "\u202e"} {
		for _, form := range []string{"json", "text"} {
			var out buffer
			log, writer, _ := newLogger(form, &out)
			stop := background(writer.Run)
			all := strings.Repeat(text, 1000)
			rec := abi.LogRecord{Message: all, Attrs: abi.Pairs{{Name: all, Value: all}}}
			(&host{log: log}).guestLog("f", func() int { return 1 })("r", rec)
			stop()
			require.Less(t, len(out.String()), 2*sandbox.LogSize(&rec)+200, "%q in %s", text, form)
		}
	}
}

// TestG11ErrorsUseTheLogBudgetToo: what a function says about its failure is its own words.
func TestG11ErrorsUseTheLogBudgetToo(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	source := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example\n\ngo 1.26.0\n\nrequire spore v0.0.0\n\nreplace spore => " + root + "\n",
		"main.go": `package main

import (
	"context"
	"strings"

	"spore/guest"
)

type failure struct{}

func (failure) Error() string      { return "it is broken: " + strings.Repeat("m", 8<<10) }
func (failure) ErrorType() string  { return "failure" }
func (failure) ErrorStack() string { return "main.go:1 " + strings.Repeat("s", 32<<10) }

func main() {
	guest.Start(func(context.Context, guest.Event) (guest.Result, error) { return guest.Result{}, failure{} })
}
`} {
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(content), 0o600))
	}
	h := startHost(t, newDir(t, "[function.f]\nsource = \""+source+"\"\n[[function.f.route]]\npath = \"/\"\n"), time.Now)
	const events = 100
	start := time.Now()
	for range events {
		require.Equal(t, 502, h.get("/").status)
	}
	h.logged("REPORT", events)
	text := h.logs.String()
	require.Contains(t, text, "failure: it is broken: mmm")
	require.Contains(t, text, "main.go:1 sss")
	seconds := 2 + int(time.Since(start)/time.Second) // begun ones
	require.Less(t, len(text)-strings.Count(text, "\n")*1000, seconds*maxLogSecond, "beside a kilobyte of the host's own words in a line")
}
