package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

// stage is a service with a clock, a store and a receiver that a test directs.
type stage struct {
	*fakes
	service *service
	store   *memory
	time    time.Time
	posts   []string
	reply   func() (int, error) // of the receiver; nil: 200
}

func newStage(t *testing.T) *stage {
	st := &stage{fakes: healthy(t), time: at(t, noonSat)}
	now := func() time.Time { return st.time }
	st.store = &memory{now: now, keys: map[string]memoryEntry{}}
	st.service = &service{weather: newOpenMeteo("http://weather.test"), geocodingURL: "http://geo.test", fetch: st.fetch, now: now, store: st.store,
		secret: func(name string) (string, error) {
			return map[string]string{"HOOK": "https://hook.test/T0/s3cret", runToken: "t0ken"}[name], nil
		},
		post: func(_ context.Context, url string, body []byte) (int, error) {
			require.Equal(t, "https://hook.test/T0/s3cret", url)
			st.posts = append(st.posts, string(body))
			if st.reply == nil {
				return 200, nil
			}
			return st.reply()
		}}
	return st
}

// ran is a run's answer as a caller sees it.
type ran struct {
	Alerts []struct {
		AlertID      string `json:"alert_id"`
		Decision     string
		Window       *struct{ Start string }
		Unknown      []string
		Notification *notification
		Error        *failureBody
	}
}

func (st *stage) run(t *testing.T, body string) ran {
	t.Helper()
	res, err := st.service.handle(t.Context(), guest.Event{Trigger: "schedule", Body: []byte(body)})
	require.NoError(t, err)
	require.Equal(t, uint32(200), max(res.Status, 200), "%s", res.Body)
	require.NotContains(t, string(res.Body), "s3cret")
	var r ran
	require.NoError(t, json.Unmarshal(res.Body, &r))
	return r
}

// result runs once and returns what became of the first alert's notification.
func (st *stage) result(t *testing.T, body string) string {
	t.Helper()
	n := st.run(t, body).Alerts[0].Notification
	if n == nil {
		return "none"
	}
	return n.Result
}

func item(id, conditions string) string {
	return `{"id":"` + id + `","place":{"lat":52.38084,"lon":4.63683,"tz":"Europe/Amsterdam"},"conditions":[` + conditions + `]}`
}

func runOf(items ...string) string {
	return `{"run":{"alerts":[` + strings.Join(items, ",") + `],"notify":{"slack":"HOOK"}}}`
}

const wantSleet = `{"type":"precipitation_type","values":["sleet"]}`

func TestAWindowIsNotifiedOnce(t *testing.T) {
	st := newStage(t)
	body := runOf(item("a", eveningBlue+","+wantSleet))
	require.Equal(t, stateSent, st.result(t, body))
	for range 60 { // every five minutes until the window is over
		st.time = st.time.Add(5 * time.Minute)
		if st.time.After(at(t, "2026-01-17T16:38:00Z")) {
			break
		}
		require.Equal(t, alreadySent, st.result(t, body))
	}
	require.Len(t, st.posts, 1)
	require.Regexp(t, `^{"text":"a: Sat 17 Jan 17:2\d, for 14m\d\ds, at 52\.38084, 4\.63683\. Weather data by Open-Meteo\.com \(CC BY 4\.0\)\."}$`, st.posts[0])
}

// TestAClockThatIsSetBackSendsNothingAgain: it was most of a day ahead for two runs.
func TestAClockThatIsSetBackSendsNothingAgain(t *testing.T) {
	st := newStage(t)
	body := runOf(item("a", eveningBlue))
	right := st.time
	require.Equal(t, stateSent, st.result(t, body))
	st.time = right.Add(20 * time.Hour)
	require.Equal(t, stateSent, st.result(t, body), "the next evening")
	st.time = right.Add(26 * time.Hour)
	require.Equal(t, alreadySent, st.result(t, body))
	st.time = right.Add(5 * time.Minute)
	require.Equal(t, alreadySent, st.result(t, body))
	require.Len(t, st.posts, 2)
}

// TestTheNextWindowIsAnother goes through four evenings with a run every hour.
func TestTheNextWindowIsAnother(t *testing.T) {
	st := newStage(t)
	for range 96 {
		st.run(t, runOf(item("a", eveningBlue)))
		st.time = st.time.Add(time.Hour)
	}
	require.Len(t, st.posts, 5, "four evenings and, an hour after the fourth, the fifth")
}

// TestAWindowThatMovesIsTheSame: a window that moves by seconds, over midnight too.
func TestAWindowThatMovesIsTheSame(t *testing.T) {
	midnight := at(t, "2026-08-10T22:00:00Z") // in Amsterdam
	w := func(from, to int) window {
		return window{midnight.Add(time.Duration(from) * time.Second), midnight.Add(time.Duration(to) * time.Second)}
	}
	c := claim{Kind: "k", Start: w(10, 0).start.Unix(), End: w(0, 1810).end.Unix()}
	for name, tc := range map[string]struct {
		w    window
		same bool
	}{
		"the same":                     {w(10, 1810), true},
		"some seconds earlier":         {w(-20, 1780), true},
		"some seconds later":           {w(40, 1840), true},
		"shorter":                      {w(800, 900), true},
		"longer":                       {w(-10_000, 10_000), true},
		"the evening before":           {w(-86_390, -84_590), false},
		"the next, on the same day":    {w(86_300, 88_100), false},
		"just behind":                  {w(1810, 3610), false},
		"behind, but for some seconds": {w(1800, 3600), false},
	} {
		require.Equal(t, tc.same, c.same("k", tc.w), name)
		require.False(t, c.same("other", tc.w), name)
	}
}

func TestUnknownIsNeverSent(t *testing.T) {
	body := runOf(item("a", eveningBlue+","+wantSleet))
	for name, weather := range map[string]func() (int, string, error){
		"no answer":        func() (int, string, error) { return 0, "", errors.New("gone") },
		"503":              func() (int, string, error) { return 503, "", nil },
		"429":              func() (int, string, error) { return 429, "", nil },
		"nonsense":         ok("{}"),
		"a 304 unasked":    func() (int, string, error) { return 304, "", nil },
		"an empty answer":  ok(""),
		"half an answer":   ok(`{"hourly":{"time":[1768669200]`),
		"hours that lack":  ok(`{"hourly":{"time":[1768600000],"precipitation":[1],"rain":[1],"showers":[0],"snowfall":[1],"weather_code":[71]}}`),
		"hours without it": ok(`{"hourly":{"time":[1768669200],"precipitation":[null],"rain":[null],"showers":[null],"snowfall":[null],"weather_code":[null]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			st.weather = weather
			a := st.run(t, body).Alerts[0]
			require.Equal(t, undetermined, a.Decision)
			require.NotEmpty(t, a.Unknown)
			require.Nil(t, a.Notification)
			require.Empty(t, st.posts)
			for key := range st.store.keys {
				require.NotContains(t, key, "sent/", "nothing is claimed")
			}
			st.weather, st.time = healthy(t).weather, st.time.Add(defaultPause)
			require.Equal(t, stateSent, st.result(t, body), "once it is known")
		})
	}
}

func TestWhatBecameOfANotification(t *testing.T) {
	gone := fmt.Errorf("post: %w", context.DeadlineExceeded)
	for name, tc := range map[string]struct {
		status int
		err    error
		want   []string // of the runs that follow
		posts  int
	}{
		"taken":                       {204, nil, []string{stateSent, alreadySent, alreadySent}, 1},
		"refused":                     {404, nil, []string{stateFailed, stateFailed, stateFailed, stateFailed}, maxAttempts},
		"a server that is overloaded": {503, nil, []string{stateFailed, stateFailed, stateFailed, stateFailed}, maxAttempts},
		"a server that broke":         {500, nil, []string{stateUnconfirmed, stateUnconfirmed}, 1},
		"a proxy's own status":        {524, nil, []string{stateUnconfirmed, stateUnconfirmed}, 1},
		"too many":                    {429, nil, []string{stateFailed, stateFailed, stateFailed, stateFailed}, maxAttempts},
		"a redirect":                  {302, nil, []string{stateFailed, stateFailed, stateFailed, stateFailed}, maxAttempts},
		"a proxy that heard nothing":  {504, nil, []string{stateUnconfirmed, stateUnconfirmed, stateUnconfirmed}, 1},
		"a proxy that heard nonsense": {502, nil, []string{stateUnconfirmed, stateUnconfirmed}, 1},
		"no answer in time":           {0, gone, []string{stateUnconfirmed, stateUnconfirmed, stateUnconfirmed}, 1},
		"a connection that broke":     {0, errors.New("broken"), []string{stateUnconfirmed, stateUnconfirmed}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			st.reply = func() (int, error) { return tc.status, tc.err }
			body := runOf(item("a", eveningBlue))
			var got []string
			for range tc.want {
				got = append(got, st.result(t, body))
				st.time = st.time.Add(5 * time.Minute)
			}
			require.Equal(t, tc.want, got)
			require.Len(t, st.posts, tc.posts)
		})
	}
	t.Run("refused once, then taken", func(t *testing.T) {
		st := newStage(t)
		st.reply = func() (int, error) { return 503, nil }
		body := runOf(item("a", eveningBlue))
		require.Equal(t, stateFailed, st.result(t, body))
		st.reply = nil
		require.Equal(t, stateSent, st.result(t, body))
		require.Equal(t, alreadySent, st.result(t, body))
		require.Len(t, st.posts, 2)
	})
}

// TestARunThatIsEndedBetweenClaimAndOutcome leaves a claim that nobody sends again.
func TestARunThatIsEndedBetweenClaimAndOutcome(t *testing.T) {
	st := newStage(t)
	body := runOf(item("a", eveningBlue))
	writes := 0
	st.store.fail = func(op, key string) error {
		if op == "update" && strings.HasPrefix(key, "sent/") {
			if writes++; writes == 2 {
				return errors.New("gone")
			}
		}
		return nil
	}
	n := st.run(t, body).Alerts[0].Notification
	require.Equal(t, stateSent, n.Result)
	require.False(t, *n.Recorded)
	require.Equal(t, stateClaimed, st.result(t, body), "another run may be at it")
	st.time = st.time.Add(longestRun + time.Second)
	n = st.run(t, body).Alerts[0].Notification
	require.Equal(t, notification{Result: stateUnconfirmed, Attempts: 1, Reason: "run_ended"}, *n)
	require.Len(t, st.posts, 1)
}

// TestNothingIsSentWithoutAClaim: a store that fails, a secret that is missing and a
// run without time send nothing and stand in nobody's way.
func TestNothingIsSentWithoutAClaim(t *testing.T) {
	body := runOf(item("a", eveningBlue))
	t.Run("a store that cannot be written", func(t *testing.T) {
		st := newStage(t)
		st.store.fail = func(op, _ string) error {
			if op == "update" {
				return errors.New("disk full")
			}
			return nil
		}
		require.Equal(t, notification{Result: notSent, Reason: "store_failed"}, *st.run(t, body).Alerts[0].Notification)
		st.store.fail = nil
		require.Equal(t, stateSent, st.result(t, body))
		require.Len(t, st.posts, 1)
	})
	t.Run("a store that cannot be read", func(t *testing.T) {
		st := newStage(t)
		st.store.fail = func(op, _ string) error { return errors.New("disk on fire") }
		res, err := st.service.handle(t.Context(), guest.Event{Body: []byte(body)})
		require.NoError(t, err)
		require.Equal(t, uint32(503), res.Status)
		require.NotContains(t, string(res.Body), "fire")
		require.Empty(t, st.posts)
	})
	t.Run("no secret", func(t *testing.T) {
		st := newStage(t)
		nothing := strings.Replace(body, "HOOK", "NOTHING", 1)
		require.Equal(t, notification{Result: notSent, Reason: "secret_missing"}, *st.run(t, nothing).Alerts[0].Notification)
		require.Equal(t, stateSent, st.result(t, body))
	})
	t.Run("no time", func(t *testing.T) {
		st := newStage(t)
		ctx, cancel := context.WithTimeout(t.Context(), leastTime/2)
		defer cancel()
		res, err := st.service.handle(ctx, guest.Event{Body: []byte(body)})
		require.NoError(t, err)
		require.Contains(t, string(res.Body), `"notification":{"result":"not_sent","reason":"timeout"}`)
		require.Empty(t, st.posts)
		require.Equal(t, stateSent, st.result(t, body))
	})
}

// TestAClaimThatTookLongIsNotLost: when no time is left to send, nothing was sent.
func TestAClaimThatTookLongIsNotLost(t *testing.T) {
	st, c := newStage(t), claim{}
	ctx, cancel := context.WithTimeout(t.Context(), leastTime/4)
	defer cancel()
	st.service.send(ctx, "https://hook.test/T0/s3cret", nil, &c)
	require.Equal(t, claim{State: stateFailed, Reason: reasonTimeout}, c)
	require.Empty(t, st.posts)
}

func TestRunsAtTheSameTimeSendOnce(t *testing.T) {
	st := newStage(t)
	var mu sync.Mutex
	sent := 0
	st.service.post = func(context.Context, string, []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		sent++
		return 200, nil
	}
	body := runOf(item("a", eveningBlue), item("b", eveningBlue))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := st.service.handle(t.Context(), guest.Event{Body: []byte(body)})
			if err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 2, sent)
}

func TestBadAlertsDoNotStopGoodOnes(t *testing.T) {
	st := newStage(t)
	st.place = ok(file(t, "testdata/open-meteo-geocoding-empty.json"))
	r := st.run(t, runOf(
		item("a", `{"type":"moon"}`),
		`{"id":"nowhere","place":{"query":"Nowhere"},"conditions":[`+eveningBlue+`]}`,
		`17`,
		item("b", eveningBlue),
		item("b", eveningBlue),
		strings.Replace(item("", eveningBlue), `"id":"",`, "", 1),
	))
	var got []string
	for _, a := range r.Alerts {
		code := a.Decision
		if a.Error != nil {
			code = a.Error.Code
		}
		got = append(got, a.AlertID+":"+code)
	}
	require.Equal(t, []string{"a:invalid_params", "nowhere:place_not_found", ":invalid_params", "b:send", "b:invalid_params", ":invalid_params"}, got)
	require.Len(t, st.posts, 1)
}

func TestRunsThatAreRefused(t *testing.T) {
	var many []string
	for i := range maxAlerts + 1 {
		many = append(many, item(fmt.Sprint(i), eveningBlue))
	}
	for name, tc := range map[string]struct {
		body, want string
		status     uint32
	}{
		"no alerts":        {runOf(), "run.alerts", 422},
		"too many alerts":  {runOf(many...), "must be a list of 1 to 50 entries", 422},
		"no receiver":      {`{"run":{"alerts":[` + item("a", eveningBlue) + `]}}`, "run.notify", 422},
		"two receivers":    {strings.Replace(runOf(item("a", eveningBlue)), `"slack":"HOOK"`, `"slack":"HOOK","webhook":"HOOK"`, 1), "one receiver", 422},
		"another receiver": {strings.Replace(runOf(item("a", eveningBlue)), `"slack"`, `"mail"`, 1), "run.notify.mail", 422},
		"a time":           {`{"run":{},"now":"2026-01-17T12:00:00Z"}`, "now", 422},
		"beside an alert":  {`{"run":{},"alert":{}}`, "alone", 422},
		"a horizon":        {strings.Replace(runOf(item("a", eveningBlue)), `"run":{`, `"run":{"horizon_hours":169,`, 1), "run.horizon_hours", 422},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			res, err := st.service.handle(t.Context(), guest.Event{Body: []byte(tc.body)})
			require.NoError(t, err)
			require.Equal(t, tc.status, res.Status)
			require.Contains(t, string(res.Body), tc.want)
			require.Empty(t, st.posts)
		})
	}
}

func TestARunOverHTTPShowsTheToken(t *testing.T) {
	st := newStage(t)
	body := runOf(item("a", eveningBlue))
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0ken2", "bearer t0ken", "t0ken"} {
		res, err := st.service.handle(t.Context(), guest.Event{Trigger: "http", Body: []byte(body), Headers: guest.Pairs{{Name: "authorization", Value: header}}})
		require.NoError(t, err)
		require.Equal(t, uint32(403), res.Status, header)
		require.Empty(t, st.posts)
	}
	res, err := st.service.handle(t.Context(), guest.Event{Trigger: "http", Body: []byte(body), Headers: guest.Pairs{{Name: "authorization", Value: "Bearer t0ken"}}})
	require.NoError(t, err)
	require.Equal(t, uint32(200), res.Status)
	require.Len(t, st.posts, 1)
}

// TestARunFromTheEnvironment is what a schedule without a body gets.
func TestARunFromTheEnvironment(t *testing.T) {
	st := newStage(t)
	st.service.runJSON = []byte(runOf(item("a", eveningBlue)))
	require.Equal(t, stateSent, st.result(t, ""))
	require.Equal(t, alreadySent, st.result(t, ""))
	res, err := st.service.handle(t.Context(), guest.Event{Trigger: "http"})
	require.NoError(t, err)
	require.Equal(t, uint32(403), res.Status)
	require.NoError(t, checkRun(nil))
	require.NoError(t, checkRun(st.service.runJSON))
	require.NoError(t, checkRun([]byte(file(t, "events/run.json"))))
	for body, want := range map[string]string{
		`{"run":`:                            "ALERTS_RUN: unexpected end of JSON input, after 7 bytes",
		file(t, "events/day.json"):           `ALERTS_RUN: must be {"run": ...}, as an event has it`,
		`{"run":{"alerts":[1],"notify":{}}}`: "ALERTS_RUN: run.notify: must name one receiver by the secret that holds its URL",
	} {
		require.EqualError(t, checkRun([]byte(body)), want)
	}
}

func TestAWebhookGetsTheFacts(t *testing.T) {
	st := newStage(t)
	require.Equal(t, stateSent, st.result(t, strings.Replace(runOf(item("a", eveningBlue)), `"slack"`, `"webhook"`, 1)))
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(st.posts[0]), &got))
	require.Equal(t, "a", got["alert_id"])
	require.WithinDuration(t, at(t, "2026-01-17T16:25:31Z"), at(t, got["window"].(map[string]any)["local_start"].(string)), 150*time.Second)
}

// TestSlackTextCannotMention: an alert's name is somebody's text.
func TestSlackTextCannotMention(t *testing.T) {
	st := newStage(t)
	evil := strings.Replace(item("a", eveningBlue), `"id":"a"`, `"id":"a","nickname":"<!channel> & <https://x>"`, 1)
	require.Equal(t, stateSent, st.result(t, runOf(evil)))
	var got struct{ Text string }
	require.NoError(t, json.Unmarshal([]byte(st.posts[0]), &got))
	require.True(t, strings.HasPrefix(got.Text, "&lt;!channel&gt; &amp; &lt;https://x&gt;: "), got.Text)
}

func TestCallsOfARunAreBounded(t *testing.T) {
	st := newStage(t)
	var items []string
	for i := range maxAlerts {
		place := fmt.Sprintf(`{"id":"%d","place":{"lat":%d,"lon":4.6},"conditions":[%s,%s]}`, i, i, eveningBlue, wantSleet)
		items = append(items, place)
	}
	r := st.run(t, runOf(items...))
	require.Len(t, st.urls, maxRunCalls)
	require.Equal(t, []string{reasonBudget}, r.Alerts[maxAlerts-1].Unknown)

	st = newStage(t)
	items = nil
	for i := range maxAlerts {
		items = append(items, item(fmt.Sprint(i), eveningBlue+","+wantSleet))
	}
	st.run(t, runOf(items...))
	require.Len(t, st.urls, 1, "one place is asked for once")
	require.Len(t, st.posts, maxAlerts)
}

func TestLongIDsHaveKeysToo(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "sent/a", strings.Repeat("日", 200), strings.Repeat("日", 199) + "x", strings.Repeat("x", longestID)} {
		key := claimsKey(id)
		require.LessOrEqual(t, len(key), 512)
		require.False(t, seen[key])
		seen[key] = true
	}
}
