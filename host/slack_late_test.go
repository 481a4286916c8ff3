package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	goslack "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"
)

const (
	slackWaits       = 3 * time.Second
	fetchingReply    = "Fetching..."
	unavailableReply = "Statistics are unavailable right now. Try again in a minute."
)

// sayTimed is say with how long the user waited.
func sayTimed(h *statsHost, text string) (goslack.WebhookMessage, reply, time.Duration) {
	h.t.Helper()
	start := time.Now()
	got := h.say(text)
	waited := time.Since(start)
	require.Equal(h.t, 200, got.status)
	return readMessage(h.t, got.body), got, waited
}

// next is the next message that reached Slack by a response_url.
func (s *standIn) next() goslack.WebhookMessage {
	select {
	case m := <-s.arrived:
		return m
	case <-time.After(20 * time.Second):
		s.t.Fatal("no late answer")
		panic("unreachable")
	}
}

// TestAServiceThatNeverAnswers: the user is told to wait in time, and afterwards
// that it was in vain.
func TestAServiceThatNeverAnswers(t *testing.T) {
	t.Parallel()
	h := startStats(t, map[string]string{"STATS_BUDGET": "100ms"})
	h.serviceDoes(never)
	first, got, waited := sayTimed(h, "members")
	require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: fetchingReply}, first)
	require.GreaterOrEqual(t, waited, 100*time.Millisecond)
	require.Less(t, waited, slackWaits)
	require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: unavailableReply}, h.slack.next())
	log := h.why(got)
	require.Contains(t, log, "cannot reach the statistics service")
	require.NotContains(t, log, "cannot deliver")
	require.Empty(t, h.slack.arrived, "once")
}

// TestALateAnswerWithTheRealBudget: two seconds of Slack's three, and the figures
// as soon as they are there.
func TestALateAnswerWithTheRealBudget(t *testing.T) {
	t.Parallel()
	h := startStats(t, map[string]string{"RESPONSE_TYPE": "in_channel"})
	told := make(chan struct{})
	h.serviceDoes(func(w http.ResponseWriter, _ *http.Request) {
		<-told
		_, _ = w.Write([]byte(goodFigures))
	})
	first, got, waited := sayTimed(h, "members")
	close(told)
	require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: fetchingReply}, first)
	require.GreaterOrEqual(t, waited, 2*time.Second)
	require.Less(t, waited, slackWaits)
	require.Equal(t, goslack.WebhookMessage{ResponseType: "in_channel", Text: goodReply}, h.slack.next())
	log := h.why(got)
	require.NotContains(t, log, `"level":"ERROR"`)
	require.Empty(t, h.slack.arrived, "once")
}

// TestSlackInTrouble posts late answers to response_urls that fail in every way:
// what may pass is tried again, twice at most.
func TestSlackInTrouble(t *testing.T) {
	t.Parallel()
	h := startStats(t, map[string]string{"STATS_BUDGET": "300ms"})
	old := h.slack.issue()
	h.slack.later(31 * time.Minute)
	worn := h.slack.issue()
	for range 5 {
		res, err := http.Post(worn, "application/json", strings.NewReader(`{"text":"from elsewhere"}`))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "from elsewhere", h.slack.next().Text)
	}
	tests := []struct {
		name, url string
		uses      int
		log       string // empty when the answer arrived
	}{
		{"at once", h.slack.issue(), 1, ""},
		{"the second time", h.slack.issue(429), 2, ""},
		{"the last time", h.slack.issue(500, 503), 3, ""},
		{"never", h.slack.issue(500, 503, 502), 3, `"reason":"status 502","tries":"3"`},
		{"not found", h.slack.issue(404), 1, `"reason":"status 404","tries":"1"`},
		{"redirected", h.slack.issue(302), 1, `"reason":"status 302","tries":"1"`},
		{"redirected with the body", h.slack.issue(307), 1, `"reason":"status 307","tries":"1"`},
		{"after thirty minutes", old, 1, `"reason":"status 404","tries":"1"`},
		{"used five times before", worn, 6, `"reason":"status 404","tries":"1"`},
		{"the real Slack, which this function may not call", "https://hooks.slack.com/commands/T1/2/secret-part", 0, `"reason":"denied","tries":"1"`},
	}
	told := make(chan struct{})
	h.serviceDoes(func(w http.ResponseWriter, _ *http.Request) {
		<-told
		_, _ = w.Write([]byte(goodFigures))
	})
	answers := make([]reply, len(tests))
	var users sync.WaitGroup
	for i, tt := range tests {
		users.Go(func() {
			answers[i] = h.command(url.Values{"command": {"/stats"}, "text": {"members"}, "response_url": {tt.url}})
		})
	}
	users.Wait()
	close(told)
	for i, tt := range tests {
		require.Equal(t, fetchingReply, readMessage(t, answers[i].body).Text, tt.name)
		log := h.why(answers[i])
		require.Equal(t, tt.log != "", strings.Contains(log, "cannot deliver a late answer"), tt.name)
		require.Contains(t, log, tt.log, tt.name)
		if tt.uses > 0 {
			require.Equal(t, tt.uses, h.slack.uses(tt.url), tt.name)
		}
	}
	require.Len(t, h.slack.arrived, 3)
	for range 3 {
		require.Equal(t, goodReply, h.slack.next().Text)
	}
}

// TestAResponseURLThatIsNotSlacksIsNotCalled even where the function may call it
// and the signature holds: then there is no later, and the budget ends the matter.
func TestAResponseURLThatIsNotSlacksIsNotCalled(t *testing.T) {
	t.Parallel()
	h := startStats(t, map[string]string{"STATS_BUDGET": "50ms"})
	h.serviceDoes(never)
	slack := strings.TrimPrefix(h.slack.URL, "http://")
	_, port, _ := strings.Cut(slack, ":")
	for _, raw := range []string{
		"",
		"no URL",
		"http://hooks.slack.com/commands/T1/secret-part",
		"https://hooks.slack.com:443/commands/T1/secret-part",
		"https://user:password@hooks.slack.com/commands/T1/secret-part",
		"https://hooks.slack.com.evil.example/commands/T1/secret-part",
		"https://hooks.slack.com@" + slack + "/commands/T1/secret-part",
		"http://user:password@" + slack + "/commands/T1/secret-part",
		"ftp://" + slack + "/commands/T1/secret-part",
		"http://localhost:" + port + "/commands/T1/secret-part",
		"http://127.0.0.1/commands/T1/secret-part",
		h.api + "/commands/T1/secret-part",
		"file:///etc/passwd",
		"http://" + slack + "\r\n/commands/T1/secret-part",
	} {
		start := time.Now()
		got := h.command(url.Values{"command": {"/stats"}, "text": {"members"}, "response_url": {raw}})
		require.Less(t, time.Since(start), slackWaits)
		require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: unavailableReply}, readMessage(t, got.body), raw)
		require.Contains(t, h.why(got), "cannot reach the statistics service", raw)
	}
	require.Empty(t, h.slack.everything())
}
