package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receiver stands in for the weather service and for the webhook.
type receiver struct {
	*httptest.Server
	weather  atomic.Int64 // questions
	modified atomic.Int64 // of these, with If-Modified-Since
	mode     atomic.Value // what the webhook does: a status, or "break"
	down     atomic.Bool  // the weather service answers 503

	mu    sync.Mutex
	posts []string
}

func newReceiver(t *testing.T, now func() time.Time) *receiver {
	t.Helper()
	forecast, err := os.ReadFile("../modules/alerts/testdata/open-meteo-forecast.json")
	require.NoError(t, err)
	r := &receiver{}
	r.mode.Store("200")
	const layout = "Mon, 02 Jan 2006 15:04:05 GMT"
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/forecast", func(w http.ResponseWriter, req *http.Request) {
		r.weather.Add(1)
		w.Header().Set("Date", now().UTC().Format(layout))
		w.Header().Set("Expires", now().Add(20*time.Minute).UTC().Format(layout))
		w.Header().Set("Last-Modified", "Sat, 17 Jan 2026 11:00:00 GMT")
		switch {
		case r.down.Load():
			w.WriteHeader(503)
		case req.Header.Get("If-Modified-Since") == "Sat, 17 Jan 2026 11:00:00 GMT":
			r.modified.Add(1)
			w.WriteHeader(304)
		default:
			_, _ = w.Write(forecast)
		}
	})
	mux.HandleFunc("/hook/s3cret-path", func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.posts = append(r.posts, string(body))
		r.mu.Unlock()
		switch mode := r.mode.Load().(string); mode {
		case "break":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		default:
			status := 200
			_, _ = fmt.Sscan(mode, &status)
			w.WriteHeader(status)
		}
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.posts)
}

// alertsDir is a host's directory with the alerts function as an operator would set it up.
func alertsDir(t *testing.T, up *receiver, grant string) string {
	dir := newDir(t, fmt.Sprintf(`
[secrets]
file = "secrets.toml"
[function.alerts]
source = "ROOT/modules/alerts"
http_private = [%q]
secrets = ["ALERTS_SLACK_URL", "ALERTS_RUN_TOKEN"]
%s
env = { OPEN_METEO_URL = %q }
[[function.alerts.route]]
path = "/alerts"
method = "POST"
`, up.URL, grant, up.URL))
	secrets := fmt.Sprintf("ALERTS_SLACK_URL = %q\nALERTS_RUN_TOKEN = \"t0ken-t0ken\"\n", up.URL+"/hook/s3cret-path")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.toml"), []byte(secrets), 0o600))
	return dir
}

// runAlerts posts a run of the ids and returns the result of each notification.
func (h *testHost) runAlerts(ids ...string) (results []string) {
	h.t.Helper()
	var items []string
	for _, id := range ids {
		items = append(items, fmt.Sprintf(`{"id":%q,"place":{"lat":52.38084,"lon":4.63683,"tz":"Europe/Amsterdam"},"conditions":[
			{"type":"sun","value":"evening_blue_hour"},{"type":"precipitation_type","values":["snow","sleet"]}]}`, id))
	}
	req := h.request("POST", "/alerts", `{"run":{"notify":{"slack":"ALERTS_SLACK_URL"},"alerts":[`+strings.Join(items, ",")+`]}}`)
	req.Header.Set("Authorization", "Bearer t0ken-t0ken")
	got := h.do(req)
	require.Equal(h.t, 200, got.status, got.body)
	require.NotContains(h.t, got.body, "s3cret")
	var a struct {
		Alerts []struct {
			Decision     string
			Notification *struct{ Result string }
		}
	}
	require.NoError(h.t, json.Unmarshal([]byte(got.body), &a))
	for _, alert := range a.Alerts {
		if alert.Notification == nil {
			results = append(results, alert.Decision)
			continue
		}
		results = append(results, alert.Notification.Result)
	}
	return results
}

// TestAlertsAreSentOnceAWindow runs every five minutes from noon to the end of the
// blue hour, on three hosts one after the other.
func TestAlertsAreSentOnceAWindow(t *testing.T) {
	t.Parallel()
	var minutes atomic.Int64
	now := func() time.Time {
		return time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes.Load()) * time.Minute)
	}
	up := newReceiver(t, now)
	dir := alertsDir(t, up, `kv = "1MiB"`)
	sent, runs := 0, 0
	for range 3 {
		h := startHost(t, dir, now)
		for range 18 {
			for _, result := range h.runAlerts("a", "b") {
				if result == "sent" {
					sent++
				} else {
					require.Equal(t, "already_sent", result)
				}
			}
			runs++
			minutes.Add(5)
		}
		require.NotContains(t, h.logs.String(), "s3cret-path")
		require.NoError(t, h.stop())
	}
	require.Equal(t, 2, sent)
	require.Equal(t, 2, up.count())
	require.Equal(t, int64(14), up.weather.Load(), "every 20 minutes of %d runs", runs)
	require.Equal(t, up.weather.Load()-1, up.modified.Load())
}

func TestAlertsThatAreUnknownAreNotSent(t *testing.T) {
	t.Parallel()
	noon := func() time.Time { return time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC) }
	up := newReceiver(t, noon)
	h := startHost(t, alertsDir(t, up, `kv = "1MiB"`), noon)
	up.down.Store(true)
	for range 3 {
		require.Equal(t, []string{"undetermined"}, h.runAlerts("a"))
	}
	require.Zero(t, up.count())
	up.down.Store(false)
	require.Equal(t, []string{"sent"}, h.runAlerts("a"))
	require.Equal(t, 1, up.count())
}

func TestWhatBecomesOfANotification(t *testing.T) {
	t.Parallel()
	noon := func() time.Time { return time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC) }
	up := newReceiver(t, noon)
	dir := alertsDir(t, up, `kv = "1MiB"`)
	h := startHost(t, dir, noon)
	up.mode.Store("break")
	require.Equal(t, []string{"unconfirmed"}, h.runAlerts("broken"))
	h.logged("notification unconfirmed", 1)
	up.mode.Store("503")
	require.Equal(t, []string{"failed"}, h.runAlerts("failed"))
	up.mode.Store("200")
	require.NoError(t, h.stop())
	h = startHost(t, dir, noon)
	require.Equal(t, []string{"unconfirmed", "sent"}, h.runAlerts("broken", "failed"))
	require.Equal(t, []string{"unconfirmed", "already_sent"}, h.runAlerts("broken", "failed"))
	require.Equal(t, 3, up.count())
	require.NotContains(t, h.logs.String(), "s3cret-path")
}

func TestAlertRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	noon := func() time.Time { return time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC) }
	up := newReceiver(t, noon)
	h := startHost(t, alertsDir(t, up, `kv = "1MiB"`), noon)
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for _, result := range h.runAlerts("a", "b", "c") {
				if result == "sent" {
					sent.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(3), sent.Load())
	require.Equal(t, 3, up.count())
}

func TestAlertRunsNeedKeysAndTheToken(t *testing.T) {
	t.Parallel()
	noon := func() time.Time { return time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC) }
	up := newReceiver(t, noon)
	h := startHost(t, alertsDir(t, up, ""), noon)
	body, err := os.ReadFile("../modules/alerts/events/run.json")
	require.NoError(t, err)
	got := h.post("/alerts", string(body))
	require.Equal(t, 403, got.status, got.body)
	require.Contains(t, got.body, "run_denied")
	req := h.request("POST", "/alerts", string(body))
	req.Header.Set("Authorization", "Bearer t0ken-t0ken")
	got = h.do(req)
	require.Equal(t, 500, got.status)
	require.Contains(t, got.body, `give the function kv = \"1MiB\" in functions.toml`)
	require.Zero(t, up.count())
	require.Zero(t, up.weather.Load())
}
