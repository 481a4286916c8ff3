package main

import (
	"log/slog"
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
