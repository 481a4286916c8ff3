package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

// fakes answer the geocoder and the weather service from bodies and keep the URLs asked for.
type fakes struct {
	place   func() (int, string, error)
	weather func() (int, string, error)
	headers guest.Pairs
	urls    []string

	provider func(origin string) provider // nil: Open-Meteo
	secret   func(name string) (string, error)
}

func (f *fakes) fetch(_ context.Context, url string, _ guest.Pairs) (int, guest.Pairs, []byte, error) {
	f.urls = append(f.urls, url)
	answer := f.weather
	if strings.HasPrefix(url, "http://geo.test/v1/search?") {
		answer = f.place
	}
	status, body, err := answer()
	return status, f.headers, []byte(body), err
}

func ok(body string) func() (int, string, error) {
	return func() (int, string, error) { return 200, body, nil }
}

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

// healthy returns fakes that serve the sample answers.
func healthy(t testing.TB) *fakes {
	return &fakes{
		place:   ok(file(t, "testdata/open-meteo-geocoding.json")),
		weather: ok(file(t, "testdata/open-meteo-forecast.json")),
	}
}

// post sends body to a service on top of f and returns status and raw answer.
func post(t testing.TB, f *fakes, body string) (int, []byte) {
	t.Helper()
	if f.provider == nil {
		f.provider = newOpenMeteo
	}
	s := &service{
		weather: f.provider("http://weather.test"), geocodingURL: "http://geo.test", fetch: f.fetch, secret: f.secret,
		now: func() time.Time { return at(t, "2026-01-17T12:00:00Z") },
	}
	res, err := s.handle(context.Background(), guest.Event{Body: []byte(body)})
	require.NoError(t, err)
	require.Equal(t, "application/json", res.ContentType)
	return int(res.Status), res.Body
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return v
}

// judged is an alert's answer as a caller sees it.
type judged struct {
	Decision string
	Place    struct {
		Label  string
		TZ     string
		TZFrom string   `json:"tz_from"`
		Alts   []string `json:"alternatives"`
	}
	Window *struct {
		Start, End, Local_Start string
		Seconds                 int
	}
	Conditions []struct {
		Result, Reason, Detail string
		Observed               any
		Observed_MM            *float64
		Retry_After_S          int
	}
	Next *struct {
		Start, End string
		Certain    bool
	}
	Next_Reason string
	Why_Not     []struct {
		Condition      int
		Wanted         any
		Seen           any
		Short_By_MM    *float64
		Over_By_MM     *float64
		Off_By_Degrees *float64
		Nearest        *string
	}
	Calls []struct {
		Service, Reason string
		Status          int
	}
	Attribution []string
}

func judge(t testing.TB, f *fakes, body string) judged {
	t.Helper()
	status, answer := post(t, f, body)
	require.Equal(t, 200, status, "%s", answer)
	var j judged
	require.NoError(t, json.Unmarshal(answer, &j))
	return j
}

// alertAt is an alert with the given conditions at a place.
func alertAt(lat, lon, tz, now, conditions string) string {
	return `{"alert":{"place":{"lat":` + lat + `,"lon":` + lon + `,"tz":"` + tz + `"},"conditions":[` + conditions + `]},"now":"` + now + `"}`
}

func haarlem(now, conditions string) string {
	return alertAt("52.38084", "4.63683", "Europe/Amsterdam", now, conditions)
}
