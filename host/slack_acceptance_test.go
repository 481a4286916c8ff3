package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const statsRoute = `
[function.stats]
source = "ROOT/modules/stats"
response_timeout = "2900ms"
timeout = "65s"
secrets = ["STATS_API_TOKEN"]
%s
[[function.stats.route]]
path = "/slack/stats"
method = "POST"
verify = { slack = "SLACK_SIGNING_SECRET" }
`

// TestEverySignatureVectorOnTheRealRoute gives the stats function's route each
// vector of slack_signatures.json, with the host's clock at the vector's time.
func TestEverySignatureVectorOnTheRealRoute(t *testing.T) {
	data, err := os.ReadFile("trigger/web/testdata/slack_signatures.json")
	require.NoError(t, err)
	var file struct {
		Vectors []struct {
			ID      string
			Secret  string
			Headers map[string]string
			Body    string
			NowUnix int64 `json:"now_unix"`
			Expect  struct {
				Reason string
				Status int `json:"http_status"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(data, &file))
	require.Len(t, file.Vectors, 11)
	var now atomic.Int64
	hosts := map[string]*testHost{} // one for each signing secret
	for i, v := range file.Vectors {
		h := hosts[v.Secret]
		if h == nil {
			prefix := fmt.Sprintf("SPORE_TEST_%d_", i)
			t.Setenv(prefix+"SLACK_SIGNING_SECRET", v.Secret)
			t.Setenv(prefix+"STATS_API_TOKEN", "token-for-tests")
			h = startHost(t, newDir(t, fmt.Sprintf("[secrets]\nenv = %q\n", prefix)+fmt.Sprintf(statsRoute, `env = { STATS_URL = "https://stats.test" }`)),
				func() time.Time { return time.Unix(now.Load(), 0) })
			hosts[v.Secret] = h
		}
		now.Store(v.NowUnix)
		req := h.request("POST", "/slack/stats", v.Body)
		for name, value := range v.Headers {
			req.Header[name] = []string{value} // as spelled
		}
		reports := strings.Count(h.logs.String(), "REPORT")
		got := h.do(req)
		require.Equal(t, v.Expect.Status, got.status, "%s: %s", v.ID, got.body)
		if got.body != "" { // a sandbox answered: its line is written in the background
			h.logged("REPORT RequestId: "+got.header.Get("X-Spore-Request-Id"), 1)
		}
		if got.status == 401 {
			require.Empty(t, got.body, v.ID)
			require.Eventually(t, func() bool { return strings.Contains(h.logs.String(), v.Expect.Reason) }, 5*time.Second, time.Millisecond, v.ID)
			require.Equal(t, reports, strings.Count(h.logs.String(), "REPORT"), "%s: no sandbox was used", v.ID)
		}
		require.NotContains(t, h.logs.String(), v.Secret)
	}
}

// TestEveryReasonOnTheRealRouteInOrder: each request is wrong in its own way and in
// all that are looked at later.
func TestEveryReasonOnTheRealRouteInOrder(t *testing.T) {
	t.Parallel()
	dir := newDir(t, "[secrets]\ndirectory = \"secrets\"\n"+fmt.Sprintf(statsRoute, `env = { STATS_URL = "https://stats.test" }`))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "secrets"), 0o700))
	for _, name := range []string{"SLACK_SIGNING_SECRET", "STATS_API_TOKEN"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets", name), []byte("secret-of-the-tests"), 0o600))
	}
	h := startHost(t, dir, time.Now)
	const body = "command=%2Fstats&text=help"
	wrong := "v0=" + strings.Repeat("0", 64)
	now := time.Now().Unix()
	for i, tt := range []struct {
		timestamp, signature string
		status               int
		reason               string
	}{
		{"", "nonsense", 401, "missing_header"},
		{"nonsense", "", 401, "missing_header"},
		{"nonsense", "nonsense", 401, "malformed_signature"},
		{"nonsense", wrong + "00", 401, "malformed_signature"},
		{"nonsense", wrong, 401, "malformed_timestamp"},
		{strconv.FormatInt(now-400, 10), wrong, 401, "stale_timestamp"},
		{strconv.FormatInt(now+400, 10), wrong, 401, "stale_timestamp"},
		{strconv.FormatInt(now, 10), wrong, 401, "signature_mismatch"},
		{"", "", 500, "not_configured"}, // after the secret is gone
	} {
		if tt.status == 500 {
			require.NoError(t, os.Remove(filepath.Join(dir, "secrets", "SLACK_SIGNING_SECRET")))
		}
		req := h.request("POST", "/slack/stats", body)
		req.Header.Set("Content-Type", formType)
		req.Header.Set("X-Slack-Request-Timestamp", tt.timestamp)
		req.Header.Set("X-Slack-Signature", tt.signature)
		got := h.do(req)
		require.Equal(t, reply{tt.status, got.header, ""}, got, tt.reason)
		refused := h.logged("slack request refused", i+1)[i]
		require.Equal(t, tt.reason, refused["reason"])
		require.Equal(t, got.header.Get("X-Spore-Request-Id"), refused["request_id"])
	}
	require.NotContains(t, h.logs.String(), "REPORT", "no sandbox was used")
	require.NotContains(t, h.logs.String(), "secret-of-the-tests")
}

// TestTheStoryOfStatsMembers runs the whole of it on one host: a signed slash
// command, the stats function, and the members function it asks over HTTP.
func TestTheStoryOfStatsMembers(t *testing.T) {
	const secret = "a-signing-secret"
	t.Setenv("SPORE_TEST_S_SLACK_SIGNING_SECRET", secret)
	t.Setenv("SPORE_TEST_S_STATS_API_TOKEN", "the-token")
	t.Setenv("SPORE_TEST_S_MEMBERS_API_TOKEN", "the-token")
	members := `
[secrets]
env = "SPORE_TEST_S_"
[function.members]
source = "ROOT/modules/members"
secrets = ["MEMBERS_API_TOKEN"]
[[function.members.route]]
path = "/api/stats/members"
`
	dir := newDir(t, members)
	upstream := startHost(t, dir, time.Now)
	grant := fmt.Sprintf("http_private = [%q]\nenv = { STATS_URL = %q }", upstream.url, upstream.url)
	h := startHost(t, newDir(t, "[secrets]\nenv = \"SPORE_TEST_S_\"\n"+fmt.Sprintf(statsRoute, grant)), time.Now)
	command := func(text string) (kind, answer string) {
		got := h.do(signed(h, secret, text))
		require.Equal(t, 200, got.status, got.body)
		var msg struct {
			Type string `json:"response_type"`
			Text string
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &msg))
		return msg.Type, msg.Text
	}
	_, text := command("members")
	require.Regexp(t, `^There are currently \d+ users on snowballproject\.org\.\n\d+ of these members were invited by a mentor\.\nThe most recent member is .+ and they joined on \*\w+ \d+\w\w, \d{4}\*\.$`, text)
	kind, text := command("help")
	require.Equal(t, "ephemeral", kind)
	require.Contains(t, text, "/stats members")
	_, text = command("<!channel>")
	require.Contains(t, text, "&lt;!channel&gt;")
	require.NoError(t, upstream.stop())
	_, text = command("members")
	require.Equal(t, "Statistics are unavailable right now. Try again in a minute.", text)
	for _, output := range []string{h.logs.String(), upstream.logs.String()} {
		require.NotContains(t, output, "the-token")
		require.NotContains(t, output, secret)
		require.NotContains(t, output, "hooks.slack.com/commands")
	}
}

// signed is a slash command as Slack sends it.
func signed(h *testHost, secret, text string) *http.Request {
	form := url.Values{"command": {"/stats"}, "text": {text}, "response_url": {"https://hooks.slack.com/commands/T1/2/x"}}
	body := form.Encode()
	req := h.request("POST", "/slack/stats", body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sign(req, secret, body, time.Now())
	return req
}

// sign signs req by Slack's published rule.
func sign(req *http.Request, secret, body string, at time.Time) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + timestamp + ":" + body))
	req.Header.Set("X-Slack-Request-Timestamp", timestamp)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
}

// TestFlippedBitsAreRefused flips every bit of a good request's body, timestamp
// and signature, one at a time.
func TestFlippedBitsAreRefused(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	const body = "command=%2Fstats&text=help"
	req := h.request("POST", "/slack/stats", body)
	sign(req, signingSecret, body, time.Now())
	parts := [][]byte{[]byte(body), []byte(req.Header.Get("X-Slack-Request-Timestamp")), []byte(req.Header.Get("X-Slack-Signature"))}
	ask := func() int {
		return h.raw(string(parts[0]), string(parts[1]), string(parts[2]), "Content-Type: "+formType).status
	}
	require.Equal(t, 200, ask())
	for i, part := range parts {
		for bit := range len(part) * 8 {
			part[bit/8] ^= 1 << (bit % 8)
			want := []int{401}
			if i > 0 { // the bit may have made it a byte that no header may hold
				want = []int{401, 400}
			}
			require.Contains(t, want, ask(), "part %d, bit %d: %q", i, bit, part)
			part[bit/8] ^= 1 << (bit % 8)
		}
	}
	require.Equal(t, 200, ask())
	sign(req, "other secret", body, time.Now())
	require.Equal(t, 401, h.do(req).status)
}
