package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
