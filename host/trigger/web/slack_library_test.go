package web

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	goslack "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"
)

// TestSlacksLibraryAgrees asks Slack's Go library about the requests we are asked
// about. Its clock is the real one, so times stay clear of the window's edge.
func TestSlacksLibraryAgrees(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	theirs := func(secret, timestamp, signature string, body []byte) bool {
		verifier, err := goslack.NewSecretsVerifier(http.Header{"X-Slack-Request-Timestamp": {timestamp}, "X-Slack-Signature": {signature}}, secret)
		if err != nil {
			return false
		}
		_, _ = verifier.Write(body)
		return verifier.Ensure() == nil
	}
	accepted := 0
	for range 2000 {
		secret, body := string(randomBytes(random, random.IntN(3)*8)), randomBytes(random, random.IntN(200))
		age := []int64{-1000, -310, -290, 0, 290, 310, 1000}[random.IntN(7)]
		timestamp := strconv.FormatInt(time.Now().Unix()-age, 10)
		signature := sign(secret, timestamp, string(body))
		switch i := random.IntN(len(signature)); random.IntN(9) {
		case 0:
			body = append(body, '-')
		case 1:
			signature = signature[:i]
		case 2:
			signature = signature[:i] + string(rune(random.IntN(128))) + signature[i+1:]
		case 3:
			signature += "0"
		case 4:
			timestamp = timestamp[:random.IntN(len(timestamp))]
		case 5:
			timestamp = strings.Repeat("9", random.IntN(40))
		}
		if signature != strings.ToLower(signature) {
			continue // they take upper-case digits too
		}
		ours := slackReason([]byte(secret), timestamp, signature, body, time.Now()) == ""
		require.Equal(t, theirs(secret, timestamp, signature, body), ours, "secret %q, timestamp %q, signature %q, body %q", secret, timestamp, signature, body)
		if ours {
			accepted++
		}
	}
	require.Greater(t, accepted, 100)
}
