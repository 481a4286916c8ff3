package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
	"spore/modules/alerts/sun"
)

// FuzzRequest: whatever the request, the answer is JSON, has one of the statuses
// that README.md names, and is the same the second time.
func FuzzRequest(f *testing.F) {
	names, err := filepath.Glob("events/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range append(names, "testdata/worked-request.json") {
		f.Add([]byte(file(f, name)))
	}
	f.Add([]byte(`{"alert":{"place":{"lat":90,"lon":-180},"conditions":[{"type":"night","value":"night"}]},"now":"1900-01-01T00:00:00Z"}`))
	forecast := file(f, "testdata/open-meteo-forecast.json")
	f.Fuzz(func(t *testing.T, body []byte) {
		fakes := &fakes{place: ok(file(t, "testdata/open-meteo-geocoding.json")), weather: ok(forecast)}
		status, answer := post(t, fakes, string(body))
		require.Contains(t, []int{200, 400, 413, 422}, status)
		require.True(t, json.Valid(answer))
		require.LessOrEqual(t, len(fakes.urls), 2)
		_, again := post(t, fakes, string(body))
		require.Equal(t, string(answer), string(again))
	})
}

// FuzzUpstream: whatever a service answers, the alert is judged, and sent only
// when every condition matches.
func FuzzUpstream(f *testing.F) {
	names, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		body, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(body, body)
	}
	request := []byte(file(f, "testdata/worked-request.json"))
	f.Fuzz(func(t *testing.T, placeBody, weatherBody []byte) {
		for _, weather := range []provider{newOpenMeteo(""), newMetNorway(""), newOpenWeather("")} {
			s := rehearsal(weather)
			calls := 0
			s.fetch = func(context.Context, string) (int, guest.Pairs, []byte, error) {
				if calls++; calls == 1 {
					return 200, nil, placeBody, nil
				}
				return 200, nil, weatherBody, nil
			}
			status, answer := s.serve(t.Context(), request)
			encode(answer) // panics when a number is none
			require.Contains(t, []uint32{200, 422}, status)
			require.LessOrEqual(t, calls, 2)
			a, judged := answer.(*alertAnswer)
			if !judged || a.Decision != send {
				continue
			}
			for _, c := range a.Conditions {
				require.Equal(t, match, c.Result)
			}
		}
	})
}

// A failing fetch for the place must not be taken for a place.
func TestAForecastOfNoPlaceIsNeverAsked(t *testing.T) {
	s := rehearsal(newOpenMeteo(""))
	calls := 0
	s.fetch = func(context.Context, string) (int, guest.Pairs, []byte, error) {
		calls++
		return 0, nil, nil, errors.New("down")
	}
	status, answer := s.serve(t.Context(), sampleAlert)
	require.EqualValues(t, 200, status)
	require.Equal(t, undetermined, answer.(*alertAnswer).Decision)
	require.Equal(t, 1, calls)
}

// Spans must be readable for as long as a forecast is: no window makes during
// return more, or other, than what overlaps it.
func TestPartsAddUpToTheWindow(t *testing.T) {
	f, err := rehearsal(newOpenMeteo("")).forecast(t.Context(), sun.Place{}, time.Unix(1768665600, 0), time.Unix(1768669200, 0))
	require.NoError(t, err)
	begin := time.Unix(1768665600, 0)
	for _, w := range []window{{begin, begin.Add(time.Hour)}, {begin.Add(time.Minute), begin.Add(16 * time.Minute)}} {
		parts, reason := f.during(w)
		require.Empty(t, reason)
		var seconds float64
		for _, p := range parts {
			seconds += p.seconds
		}
		require.Equal(t, w.end.Sub(w.start).Seconds(), seconds)
	}
	_, reason := f.during(window{begin.Add(-time.Second), begin.Add(time.Minute)})
	require.Equal(t, reasonBeforeForecast, reason)
	_, reason = f.during(window{begin.Add(time.Minute), begin.Add(time.Hour + time.Second)})
	require.Equal(t, reasonBeyondForecast, reason)
}
