package main

import (
	"io"
	"net/http"
	"testing"

	"spore/guest/guesttest"
)

const hut = `{"lat":46.5,"lon":8.1,"max_gusts":50,"min_temp":-10}`

// build makes a function whose weather service answers with status and body.
func build(t *testing.T, status int, body string) *guesttest.Function {
	t.Helper()
	service := guesttest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("latitude"); got != "46.5" {
			t.Errorf("asked for latitude %q, want 46.5", got)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	return guesttest.Options{Env: map[string]string{"WEATHER_URL": service}, HTTPPrivate: []string{service}}.Build(t, ".")
}

func TestDecides(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"calm", 200, `{"current":{"wind_gusts_10m":50,"temperature_2m":-10}}`,
			`{"alert":false,"reasons":["gusts of 50 km/h are not over 50","-10 °C are not under -10"]}`},
		{"windy", 200, `{"current":{"wind_gusts_10m":50.5,"temperature_2m":3}}`,
			`{"alert":true,"reasons":["gusts of 50.5 km/h are over 50","3 °C are not under -10"]}`},
		{"cold", 200, `{"current":{"wind_gusts_10m":0,"temperature_2m":-10.1}}`,
			`{"alert":true,"reasons":["gusts of 0 km/h are not over 50","-10.1 °C are under -10"]}`},
		{"a value missing", 200, `{"current":{"wind_gusts_10m":90}}`, `{"alert":false,"reasons":["the weather is not known"]}`},
		{"a service that is down", 503, `{}`, `{"alert":false,"reasons":["the weather is not known"]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if res := build(t, tt.status, tt.body).Post(t, "/", hut); res.Status != 200 || res.Body != tt.want {
				t.Errorf("got %d %s, want 200 %s", res.Status, res.Body, tt.want)
			}
		})
	}
}

func TestRefusesWhatIsMissingOrNowhere(t *testing.T) {
	fn := guesttest.Build(t, ".")
	for _, body := range []string{`{}`, `{"lat":46.5,"lon":8.1,"max_gust":50,"min_temp":-10}`, `{"lat":91,"lon":8.1,"max_gusts":50,"min_temp":-10}`} {
		if res := fn.Post(t, "/", body); res.Status != 422 {
			t.Errorf("%s: got %d %s, want 422", body, res.Status, res.Body)
		}
	}
}

// What the client does not read is in the log.
func TestLogsWhyTheWeatherIsNotKnown(t *testing.T) {
	fn := guesttest.Options{Env: map[string]string{"WEATHER_URL": "https://weather.example"}}.Build(t, ".") // and no grant
	logs := fn.Post(t, "/", hut).Logs(t)
	if len(logs) != 1 || logs[0].Message != "the weather service has no answer" {
		t.Errorf("got %+v", logs)
	}
}
