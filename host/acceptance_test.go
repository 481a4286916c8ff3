package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAlertsAnswersEveryRowOfTheReferenceTable asks the alerts function for the
// day of every row, through the listener, and compares event by event.
func TestAlertsAnswersEveryRowOfTheReferenceTable(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, `
[function.alerts]
source = "ROOT/modules/alerts"
[[function.alerts.route]]
path = "/alerts"
method = "POST"
`), time.Now)
	file, err := os.Open("../modules/alerts/testdata/sun_events.csv")
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 241)
	states := map[string]int{}
	for _, row := range rows[1:] {
		id, lat, lon, tz, date, event, utc, state, tolerance := row[0], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9]
		got := h.post("/alerts", fmt.Sprintf(`{"sun":{"lat":%s,"lon":%s,"tz":%q,"date":%q}}`, lat, lon, tz, date))
		require.Equal(t, 200, got.status, "%s: %s", id, got.body)
		var day struct {
			Events []struct{ Event, State, UTC string }
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &day))
		best := time.Duration(1 << 62)
		var found []string
		for _, e := range day.Events {
			if e.Event != event {
				continue
			}
			found = append(found, e.State)
			if e.State == "ok" && state == "ok" {
				best = min(best, distance(t, e.UTC, utc))
			} else {
				require.Empty(t, e.UTC, id)
			}
		}
		states[state]++
		require.Contains(t, found, state, "row %s: %s", id, got.body)
		if state == "ok" {
			seconds, err := strconv.Atoi(tolerance)
			require.NoError(t, err)
			require.LessOrEqual(t, best, time.Duration(seconds)*time.Second, "row %s: %s", id, got.body)
			continue
		}
		require.Len(t, found, 1, "row %s: %s", id, got.body)
	}
	require.Equal(t, map[string]int{"ok": 224, "always_up": 10, "always_down": 6}, states)
}

func distance(t *testing.T, a, b string) time.Duration {
	t.Helper()
	at, err := time.Parse(time.RFC3339, a)
	require.NoError(t, err)
	bt, err := time.Parse(time.RFC3339, b)
	require.NoError(t, err)
	return at.Sub(bt).Abs()
}

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
	body, now := form.Encode(), strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + now + ":" + body))
	req := h.request("POST", "/slack/stats", body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Request-Timestamp", now)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return req
}

// TestFlippedBitsAreRefused flips single bits of a good request's parts.
func TestFlippedBitsAreRefused(t *testing.T) {
	t.Setenv("SPORE_TEST_F_SLACK_SIGNING_SECRET", "secret")
	t.Setenv("SPORE_TEST_F_STATS_API_TOKEN", "token-for-tests")
	h := startHost(t, newDir(t, "[secrets]\nenv = \"SPORE_TEST_F_\"\n"+fmt.Sprintf(statsRoute, `env = { STATS_URL = "https://stats.test" }`)), time.Now)
	require.Equal(t, 200, h.do(signed(h, "secret", "help")).status)
	for range 50 {
		req := signed(h, "secret", "help")
		sig := []byte(req.Header.Get("X-Slack-Signature"))
		i := 3 + rand.IntN(len(sig)-3)
		sig[i] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", sig[i])+1)%16]
		req.Header.Set("X-Slack-Signature", string(sig))
		require.Equal(t, 401, h.do(req).status)
		req = signed(h, "other secret", "help")
		require.Equal(t, 401, h.do(req).status)
	}
}

// TestTheWorkedAlertThroughGrantedUpstreams asks the alert of alerts.md with both
// of its services answered by a local stand-in, which must be called once each.
func TestTheWorkedAlertThroughGrantedUpstreams(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	answer := func(file string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			http.ServeFile(w, r, "../modules/alerts/testdata/"+file)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/search", answer("open-meteo-geocoding.json"))
	mux.Handle("/v1/forecast", answer("open-meteo-forecast.json"))
	up := httptest.NewServer(mux)
	defer up.Close()
	alerts := func(grant string) string {
		return fmt.Sprintf(`
[function.alerts]
source = "ROOT/modules/alerts"
%s
env = { OPEN_METEO_URL = %q, OPEN_METEO_GEOCODING_URL = %q }
[[function.alerts.route]]
path = "/alerts"
method = "POST"
`, grant, up.URL, up.URL)
	}
	const alert = `{"alert":{"id":"a-17","nickname":"Snowy blue hour at the pier","place":{"query":"Haarlem, NL"},"conditions":[
		{"type":"sun","value":"evening_blue_hour"},{"type":"day_of_week","values":["sat","sun"]},
		{"type":"precipitation_type","values":["snow","sleet"]},
		{"type":"precipitation_amount","per":"hour","min_mm":0.5,"max_mm":5}]},"now":"2026-01-17T12:00:00Z","horizon_hours":48}`
	ask := func(h *testHost) (decision string, window time.Duration) {
		got := h.post("/alerts", alert)
		require.Equal(t, 200, got.status, got.body)
		var a struct {
			Decision string
			Window   *struct{ Start string }
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &a))
		if a.Window != nil {
			window = distance(t, a.Window.Start, "2026-01-17T16:25:31Z")
		}
		return a.Decision, window
	}
	decision, off := ask(startHost(t, newDir(t, alerts(fmt.Sprintf("http_private = [%q]", up.URL))), time.Now))
	require.Equal(t, "send", decision)
	require.Less(t, off, 150*time.Second)
	require.Equal(t, int64(2), calls.Load())
	decision, _ = ask(startHost(t, newDir(t, alerts("")), time.Now))
	require.Equal(t, "undetermined", decision, "without a grant it never sends")
	require.Equal(t, int64(2), calls.Load())
}

func TestAThousandRequestsToACounterAllAnswerOne(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	for range 1000 {
		require.Equal(t, "1", h.get("/count").body)
	}
}

// TestTenUpstreamsAreCalledAtOnce lets a handler call ten slow upstreams from ten
// goroutines with plain net/http, through the host's own rules for outbound calls.
func TestTenUpstreamsAreCalledAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var open, peak int
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		open += by
		peak = max(peak, open)
	}
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		count(1)
		time.Sleep(100 * time.Millisecond) // what the upstream is slow with, not a wait of the test
		count(-1)
	}))
	defer up.Close()
	h := startHost(t, newDir(t, fmt.Sprintf(`
[function.net]
source = "ROOT/host/sandbox/testdata/netprobe"
http_private = [%q]
[[function.net.route]]
path = "/parallel"
method = "POST"
`, up.URL)), time.Now)
	for range 3 {
		start := time.Now()
		got := h.post("/parallel", up.URL)
		t.Logf("answered after %v: calls that succeeded, ms in the guest, ticks of a 10 ms ticker: %s", time.Since(start), got.body)
		require.True(t, strings.HasPrefix(got.body, "10 "), got.body)
	}
	require.Equal(t, 10, peak)
}
