package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest"
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
		if status == 500 { // a run, which these fakes have no store for
			require.Contains(t, string(answer), "not_configured")
		} else {
			require.Contains(t, []int{200, 400, 413, 422}, status)
		}
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
			s.fetch = func(context.Context, string, guest.Pairs) (int, guest.Pairs, []byte, error) {
				if calls++; calls == 1 {
					return 200, nil, placeBody, nil
				}
				return 200, nil, weatherBody, nil
			}
			status, answer := s.serve(t.Context(), &guest.Event{Body: request})
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

// FuzzRun: whatever the run, its calls and posts are bounded, and the second one at the
// same time posts nothing.
func FuzzRun(f *testing.F) {
	f.Add([]byte(file(f, "events/run.json")))
	f.Add([]byte(runOf(item("a", eveningBlue), item("b", wantSleet), "17", item("a", ""))))
	f.Fuzz(func(t *testing.T, body []byte) {
		st := newStage(t)
		st.service.secret = func(string) (string, error) { return "https://hook.test/T0/s3cret", nil }
		posts := 0
		st.service.post = func(context.Context, string, []byte) (int, error) { posts++; return 200, nil }
		for range 2 {
			res, err := st.service.handle(t.Context(), guest.Event{Body: body})
			require.NoError(t, err)
			require.Contains(t, []uint32{0, 200, 400, 413, 422}, res.Status)
			require.True(t, json.Valid(res.Body))
			require.Equal(t, strings.Count(string(res.Body), `"notification":{"result":"sent"`), posts)
			posts = 0
		}
		res, err := st.service.handle(t.Context(), guest.Event{Body: body})
		require.NoError(t, err)
		require.Zero(t, posts, "%s", res.Body)
		require.LessOrEqual(t, len(st.urls), 3*maxRunCalls)
	})
}
