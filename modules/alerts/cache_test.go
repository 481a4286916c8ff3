package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

func TestFreshness(t *testing.T) {
	const date = "Sat, 17 Jan 2026 12:00:00 GMT"
	for name, tc := range map[string]struct {
		headers guest.Pairs
		want    time.Duration
	}{
		"nothing said":            {nil, 0},
		"a max-age":               {guest.Pairs{{Name: "cache-control", Value: "public, max-age=300"}}, 5 * time.Minute},
		"a max-age in quotes":     {guest.Pairs{{Name: "cache-control", Value: `max-age="300"`}}, 5 * time.Minute},
		"that was used up":        {guest.Pairs{{Name: "cache-control", Value: "max-age=300"}, {Name: "age", Value: "290"}}, 10 * time.Second},
		"and more than that":      {guest.Pairs{{Name: "cache-control", Value: "max-age=300"}, {Name: "age", Value: "400"}}, 0},
		"two headers":             {guest.Pairs{{Name: "cache-control", Value: "public"}, {Name: "cache-control", Value: "max-age=60"}}, time.Minute},
		"before Expires":          {guest.Pairs{{Name: "cache-control", Value: "max-age=0"}, {Name: "date", Value: date}, {Name: "expires", Value: "Sat, 17 Jan 2026 13:00:00 GMT"}}, 0},
		"Expires":                 {guest.Pairs{{Name: "date", Value: date}, {Name: "expires", Value: "Sat, 17 Jan 2026 12:31:10 GMT"}}, 31*time.Minute + 10*time.Second},
		"an Expires in the past":  {guest.Pairs{{Name: "date", Value: date}, {Name: "expires", Value: "Thu, 01 Jan 1970 00:00:00 GMT"}}, 0},
		"an Expires without Date": {guest.Pairs{{Name: "expires", Value: date}}, 0},
		"an Expires of 0":         {guest.Pairs{{Name: "date", Value: date}, {Name: "expires", Value: "0"}}, 0},
		"no-cache":                {guest.Pairs{{Name: "cache-control", Value: "no-cache, max-age=300"}}, 0},
		"no-store":                {guest.Pairs{{Name: "cache-control", Value: "max-age=300, No-Store"}}, -1},
		"a year":                  {guest.Pairs{{Name: "cache-control", Value: "max-age=31536000"}}, longestFresh},
		"a number beyond numbers": {guest.Pairs{{Name: "cache-control", Value: "max-age=99999999999999999999"}}, 0},
	} {
		require.Equal(t, tc.want, freshness(tc.headers), name)
	}
}

// TestFreshAnswersAreNotAskedForAgain goes through the life of an answer with
// Expires and Last-Modified, as MET Norway sends them, and compares every answer of
// the function with that of one that keeps nothing.
func TestFreshAnswersAreNotAskedForAgain(t *testing.T) {
	st := newStage(t)
	const modified = "Sat, 17 Jan 2026 11:30:00 GMT"
	changed, calls := true, 0
	var conditions []string
	st.service.fetch = func(_ context.Context, _ string, with guest.Pairs) (int, guest.Pairs, []byte, error) {
		calls++
		conditions = append(conditions, with.Get("if-modified-since"))
		date := st.time.Format("Mon, 02 Jan 2006 15:04:05 GMT")
		headers := guest.Pairs{{Name: "date", Value: date}, {Name: "expires", Value: st.time.Add(30 * time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT")}}
		if !changed && with.Has("if-modified-since") {
			return 304, headers, nil, nil
		}
		_, body, err := st.weather()
		return 200, append(headers, guest.Pair{Name: "last-modified", Value: modified}), []byte(body), err
	}
	body := haarlem(noonSat, eveningBlue+","+wantSnow)
	_, want := post(t, healthy(t), body)
	ask := func() {
		t.Helper()
		res, err := st.service.handle(t.Context(), guest.Event{Body: []byte(body)})
		require.NoError(t, err)
		require.Equal(t, string(want), string(res.Body))
	}
	ask()
	ask()
	st.time = st.time.Add(30*time.Minute - time.Second)
	ask()
	require.Equal(t, 1, calls)
	changed = false
	st.time = st.time.Add(time.Second)
	ask()
	require.Equal(t, 2, calls)
	require.Equal(t, modified, conditions[1])
	st.time = st.time.Add(29 * time.Minute)
	ask()
	require.Equal(t, 2, calls, "a 304 makes it fresh again")
	st.time = st.time.Add(longestFresh + staleFor)
	ask()
	require.Equal(t, 3, calls)
	require.Empty(t, conditions[2], "what was kept is gone")
}

func TestWhatIsNotKept(t *testing.T) {
	fresh := guest.Pair{Name: "cache-control", Value: "max-age=300"}
	body := haarlem(noonSat, eveningBlue+","+wantSnow)
	for name, change := range map[string]func(st *stage){
		"an answer without headers": func(st *stage) { st.headers = nil },
		"no-store":                  func(st *stage) { st.headers = guest.Pairs{{Name: "cache-control", Value: "no-store"}} },
		"an error": func(st *stage) {
			st.weather = func() (int, string, error) { return 503, "", nil }
		},
		"a long answer": func(st *stage) { st.weather = ok(strings.Repeat(" ", maxKept+1)) },
		"where no store is": func(st *stage) {
			st.store.fail = func(string, string) error { return errors.New("denied") }
		},
		"where there is none": func(st *stage) { st.service.store = nil },
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			st.headers = guest.Pairs{fresh}
			change(st)
			for range 2 {
				_, err := st.service.handle(t.Context(), guest.Event{Body: []byte(body)})
				require.NoError(t, err)
			}
			require.Len(t, st.urls, 2)
		})
	}
}

// TestAServiceThatAsksForItIsLeftAlone, by all alerts of a run too.
func TestAServiceThatAsksForItIsLeftAlone(t *testing.T) {
	body := runOf(item("a", eveningBlue+","+wantSleet), strings.Replace(item("b", eveningBlue+","+wantSleet), "52.38", "51.38", 1))
	for name, tc := range map[string]struct {
		status     int
		retryAfter string
		want       time.Duration
	}{
		"a 429 with a time":     {429, "300", 5 * time.Minute},
		"a 429 without":         {429, "", defaultPause},
		"a 503 with a time":     {503, "120", 2 * time.Minute},
		"a 503 without":         {503, "", 0},
		"a time without end":    {429, "999999999999", longestPause},
		"a 500 is no such wish": {500, "300", 0},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			st.weather = func() (int, string, error) { return tc.status, "", nil }
			st.headers = guest.Pairs{{Name: "retry-after", Value: tc.retryAfter}}
			st.run(t, body)
			if tc.want == 0 {
				require.Len(t, st.urls, 2)
				return
			}
			require.Len(t, st.urls, 1)
			st.time = st.time.Add(tc.want - time.Second)
			require.Equal(t, []string{reasonRateLimited}, st.run(t, body).Alerts[0].Unknown)
			require.Len(t, st.urls, 1)
			st.time = st.time.Add(time.Second)
			st.weather, st.headers = healthy(t).weather, nil
			require.Equal(t, stateSent, st.result(t, body))
		})
	}
}

// TestKeysDoNotShowTheURL, which holds a service's key.
func TestKeysDoNotShowTheURL(t *testing.T) {
	require.NotContains(t, cacheKey("https://x.test/?appid=s3cret"), "s3cret")
	require.NotEqual(t, cacheKey("https://x.test/a"), cacheKey("https://x.test/b"))
}

// TestKeptAnswersGiveWayToClaims fills the bucket to its last byte with answers.
func TestKeptAnswersGiveWayToClaims(t *testing.T) {
	st := newStage(t)
	st.headers = guest.Pairs{{Name: "cache-control", Value: "max-age=300"}}
	body := runOf(item("a", eveningBlue+","+wantSleet), item("b", eveningBlue+","+wantSleet))
	st.run(t, strings.ReplaceAll(body, `"sleet"`, `"snow"`)) // keeps the answer, sends nothing
	require.Len(t, st.store.keys, 1)
	for key, e := range st.store.keys {
		st.store.maxBytes = len(key) + len(e.value)
	}
	for _, want := range []string{stateSent, alreadySent} {
		for _, a := range st.run(t, body).Alerts {
			require.Equal(t, want, a.Notification.Result)
			require.Nil(t, a.Notification.Recorded)
		}
	}
}

// TestKeptAnswersGiveWayToPauses: a full bucket is no reason to ask a service again
// that wants to be left alone.
func TestKeptAnswersGiveWayToPauses(t *testing.T) {
	st := newStage(t)
	st.headers = guest.Pairs{{Name: "cache-control", Value: "max-age=300"}}
	body := runOf(item("a", eveningBlue+","+wantSnow))
	st.run(t, body)
	for key, e := range st.store.keys {
		st.store.maxBytes = len(key) + len(e.value)
	}
	st.time = st.time.Add(301 * time.Second)
	st.weather = func() (int, string, error) { return 429, "", nil }
	for range 3 {
		require.Equal(t, []string{reasonRateLimited}, st.run(t, body).Alerts[0].Unknown)
	}
	require.Len(t, st.urls, 2)
}

// TestWhatAWrongClockKeptIsNotBelieved: it was a year ahead when the answer was kept,
// and when the service asked for a pause.
func TestWhatAWrongClockKeptIsNotBelieved(t *testing.T) {
	for _, status := range []int{200, 429} {
		st := newStage(t)
		st.service.weather = newMetNorway("http://weather.test") // asks the same, whatever the day
		right := st.time
		st.headers = guest.Pairs{{Name: "cache-control", Value: "max-age=300"}}
		st.weather = func() (int, string, error) { return status, "{}", nil }
		alert := runOf(item("a", eveningBlue+","+wantSnow))
		for i, now := range []time.Time{right.AddDate(1, 0, 0), right, right} {
			st.time = now
			st.run(t, alert)
			require.Len(t, st.urls, min(i+1, 2), "status %d: asked again, once", status)
		}
	}
}
