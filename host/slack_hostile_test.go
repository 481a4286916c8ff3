package main

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// randomBytes returns up to n of them. Every other time they are a good thing with
// a few of its bytes changed or none, which gets further than noise.
func randomBytes(random *rand.Rand, n int, good string) []byte {
	if random.IntN(2) == 0 {
		b := []byte(good)
		for range random.IntN(5) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		return b
	}
	b := make([]byte, random.IntN(n))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// randomHeader leaves out, every other time, what HTTP refuses in a header.
func randomHeader(random *rand.Rand, n int, good string) string {
	b := randomBytes(random, n, good)
	if random.IntN(2) == 0 {
		return string(b)
	}
	return string(slices.DeleteFunc(b, func(c byte) bool { return c < ' ' || c == 0x7f }))
}

// TestAThousandRandomStringsNeverCrashTheModule: as bodies that are signed, as
// headers beside a good signature, and as the statistics service's answer. A crash
// would be a 502.
func TestAThousandRandomStringsNeverCrashTheModule(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	const thousand = 1000
	random := rand.New(rand.NewPCG(3, 17))
	const command = "command=%2Fstats&text=members&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1%2F2%2Fsecret-part"
	statuses := map[string]map[int]int{"body": {}, "header": {}, "answer": {}}
	for range thousand {
		statuses["body"][h.signed(formType, string(randomBytes(random, 3000, command))).status]++
	}
	for range thousand {
		req := h.request("POST", "/slack/stats", "")
		sign(req, signingSecret, command, time.Now())
		got := h.raw(command, req.Header.Get("X-Slack-Request-Timestamp"), req.Header.Get("X-Slack-Signature"),
			"Content-Type: "+randomHeader(random, 100, formType),
			"X-Random: "+randomHeader(random, 300, "text/plain"))
		statuses["header"][got.status]++
	}
	var body atomic.Pointer[[]byte]
	h.serviceDoes(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*body.Load()) })
	for range thousand {
		b := randomBytes(random, 3000, goodFigures)
		body.Store(&b)
		got := h.signed(formType, command)
		statuses["answer"][got.status]++
		text := readMessage(t, got.body).Text
		if text != "The statistics service gave an answer I can't read." {
			require.True(t, strings.HasPrefix(text, "There "), text)
			require.NotContains(t, text, "<")
			require.False(t, bytes.ContainsFunc([]byte(text), func(r rune) bool { return r < ' ' && r != '\n' }), text)
		}
	}
	t.Log(statuses)
	for what, allowed := range map[string][]int{"body": {200, 400}, "header": {200, 400, 415}, "answer": {200}} {
		total := 0
		for _, status := range allowed {
			require.NotZero(t, statuses[what][status], "%s: no %d", what, status)
			total += statuses[what][status]
		}
		require.Equal(t, thousand, total, "%s: %v", what, statuses[what])
	}
	h.serviceSays(200, goodFigures)
	require.Equal(t, goodReply, readMessage(t, h.say("members").body).Text)
}
