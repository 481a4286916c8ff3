package main

import (
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"

	"spore/guest/guesttest"
)

// world is a site and a place for reports.
type world struct {
	mu      sync.Mutex
	site    int // status
	reports map[string]string
}

func (w *world) ServeHTTP(out http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if req.Method == "PUT" && req.Header.Get("Content-Type") == "application/json" {
		body, _ := io.ReadAll(req.Body)
		w.reports[req.URL.Path] = string(body)
		return
	}
	out.WriteHeader(w.site)
}

func build(t *testing.T, w *world) *guesttest.Function {
	t.Helper()
	origin := guesttest.Upstream(t, w.ServeHTTP)
	env := map[string]string{"CHECK_URL": origin + "/site", "REPORT_URL": origin + "/reports"}
	return guesttest.Options{Env: env, HTTPPrivate: []string{origin}}.Build(t, ".")
}

func TestEverySlotHasOneReport(t *testing.T) {
	w := &world{site: 200, reports: map[string]string{}}
	fn := build(t, w)
	for _, tick := range []string{"2026-01-31T12:05:00Z", "2026-01-31T12:05:00Z", "2026-01-31T13:09:59+01:00", "2026-01-31T12:10:00Z"} {
		if res := fn.Post(t, "/", `{"time":"`+tick+`"}`); res.Status != 200 {
			t.Fatalf("%s: got %d %s", tick, res.Status, res.Body)
		}
	}
	want := map[string]string{
		"/reports/20260131T1205Z": `{"slot":"2026-01-31T12:05:00Z","up":true,"detail":"status 200"}`,
		"/reports/20260131T1210Z": `{"slot":"2026-01-31T12:10:00Z","up":true,"detail":"status 200"}`,
	}
	if !maps.Equal(w.reports, want) {
		t.Errorf("got %v, want %v", w.reports, want)
	}
}

func TestASiteThatIsDownIsReported(t *testing.T) {
	w := &world{site: 500, reports: map[string]string{}}
	res := build(t, w).Post(t, "/", `{"time":"2026-01-31T12:05:00Z"}`)
	if want := `{"slot":"2026-01-31T12:05:00Z","up":false,"detail":"status 500"}`; res.Body != want {
		t.Errorf("got %s, want %s", res.Body, want)
	}
}

func TestRefusesAnEventWithoutTime(t *testing.T) {
	if res := guesttest.Build(t, ".").Post(t, "/", `{}`); res.Status != 422 {
		t.Errorf("got %d %s, want 422", res.Status, res.Body)
	}
}
