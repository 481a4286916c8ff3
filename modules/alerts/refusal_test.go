package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

func TestBodiesThatAreNoJSONObject(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		at   int64
	}{
		"an empty body":         {"", 0},
		"a list":                {"[1]", 0},
		"null":                  {"null", 0},
		"text":                  {"nope", 2},
		"an object cut off":     {`{"alert":`, 9},
		"something after it":    {`{} x`, 4},
		"no UTF-8":              {"{\"a\":\"\xff\"}", 6},
		"a number out of reach": {`{"a":1e999}`, 11},
		"brackets without end":  {strings.Repeat("[", 60000), 10001},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := post(t, &fakes{}, c.body)
			require.Equal(t, 400, status)
			var f failure
			require.NoError(t, json.Unmarshal(answer, &f))
			require.Equal(t, "bad_json", f.Error.Code)
			require.Equal(t, c.at, *f.Error.At)
		})
	}
}

func TestABodyOverTheLimit(t *testing.T) {
	body := file(t, "events/day.json")
	status, _ := post(t, &fakes{}, body+strings.Repeat(" ", maxRequest-len(body)))
	require.Equal(t, 200, status)
	status, answer := post(t, &fakes{}, body+strings.Repeat(" ", maxRequest-len(body)+1))
	require.Equal(t, 413, status)
	require.Contains(t, string(answer), `"code":"too_large"`)
}

func TestBadInputIsRefusedByPath(t *testing.T) {
	with := func(conditions string) string { return haarlem(noonSat, conditions) }
	at := func(place string) string {
		return `{"alert":{"place":` + place + `,"conditions":[` + eveningBlue + `]}}`
	}
	top := func(fields string) string {
		return `{"alert":{"place":{"lat":1,"lon":2},"conditions":[` + eveningBlue + `]},` + fields + `}`
	}
	inside := func(fields string) string {
		return `{"alert":{"place":{"lat":1,"lon":2},"conditions":[` + eveningBlue + `],` + fields + `}}`
	}
	day := func(fields string) string { return `{"sun":{` + fields + `}}` }
	for name, c := range map[string]struct {
		body  string
		paths []string
	}{
		"an empty object":                     {`{}`, []string{"alert"}},
		"an alert and a day at once":          {`{"alert":{},"sun":{}}`, []string{"sun"}},
		"an alert that is null":               {`{"alert":null}`, []string{"alert"}},
		"an empty alert":                      {`{"alert":{}}`, []string{"alert.place", "alert.conditions"}},
		"a typo at the top":                   {top(`"horizont_hours":3`), []string{"horizont_hours"}},
		"a typo in the alert":                 {inside(`"conditons":[]`), []string{"alert.conditons"}},
		"a field with an odd name":            {inside(`"a\u0000b":1,"":2`), []string{`alert.""`, `alert."a\x00b"`}},
		"an id that is a number":              {inside(`"id":17`), []string{"alert.id"}},
		"a nickname that is too long":         {inside(`"nickname":"` + strings.Repeat("é", 201) + `"`), []string{"alert.nickname"}},
		"a place that is text":                {at(`"Haarlem"`), []string{"alert.place"}},
		"an empty place":                      {at(`{}`), []string{"alert.place"}},
		"a query of one character":            {at(`{"query":"H"}`), []string{"alert.place.query"}},
		"a query without a name":              {at(`{"query":" , NL"}`), []string{"alert.place.query"}},
		"an empty query":                      {at(`{"query":""}`), []string{"alert.place.query"}},
		"a latitude without a longitude":      {at(`{"lat":1}`), []string{"alert.place.lon"}},
		"a latitude over 90":                  {at(`{"lat":90.1,"lon":0}`), []string{"alert.place.lat"}},
		"longitude 200, which is not wrapped": {at(`{"lat":0,"lon":200}`), []string{"alert.place.lon"}},
		"a latitude that is text":             {at(`{"lat":"1","lon":0}`), []string{"alert.place.lat"}},
		"an unknown time zone":                {at(`{"lat":1,"lon":0,"tz":"Mars/Base"}`), []string{"alert.place.tz"}},
		"the host's own time zone":            {at(`{"lat":1,"lon":0,"tz":"Local"}`), []string{"alert.place.tz"}},
		"a time zone that is a path":          {at(`{"lat":1,"lon":0,"tz":"../../etc/passwd"}`), []string{"alert.place.tz"}},
		"no conditions":                       {with(``), []string{"alert.conditions"}},
		"nine conditions":                     {with(strings.Repeat(wantSnow+",", 8) + wantSnow), []string{"alert.conditions"}},
		"nine conditions, and one is wrong":   {with(strings.Repeat(wantSnow+",", 8) + `{"type":"moon"}`), []string{"alert.conditions", "alert.conditions[8].type"}},
		"a condition that is text":            {with(`"sun"`), []string{"alert.conditions[0]"}},
		"a condition without a type":          {with(`{}`), []string{"alert.conditions[0].type"}},
		"an unknown type":                     {with(`{"type":"moon"}`), []string{"alert.conditions[0].type"}},
		"an unknown sun value":                {with(`{"type":"sun","value":"night"}`), []string{"alert.conditions[0].value"}},
		"a sun condition without a value":     {with(`{"type":"sun"}`), []string{"alert.conditions[0].value"}},
		"another condition's field":           {with(`{"type":"sun","value":"noon","values":[]}`), []string{"alert.conditions[0].values"}},
		"two sun conditions":                  {with(eveningBlue + "," + eveningBlue), []string{"alert.conditions[1]"}},
		"two night conditions":                {with(`{"type":"night","value":"night"},` + eveningBlue + `,{"type":"night","value":"night"}`), []string{"alert.conditions[2]"}},
		"an unknown day":                      {with(eveningBlue + `,{"type":"day_of_week","values":["sat","sunday"]}`), []string{"alert.conditions[1].values[1]"}},
		"a day twice":                         {with(`{"type":"day_of_week","values":["sat","sat"]}`), []string{"alert.conditions[0].values[1]"}},
		"days that exclude each other":        {with(`{"type":"day_of_week","values":["sat","mon"]},` + eveningBlue + `,{"type":"day_of_week","values":["sun"]}`), []string{"alert.conditions[2].values"}},
		"no days":                             {with(`{"type":"day_of_week","values":[]}`), []string{"alert.conditions[0].values"}},
		"an unknown precipitation type":       {with(`{"type":"precipitation_type","values":["hail"]}`), []string{"alert.conditions[0].values[0]"}},
		"an amount without bounds":            {with(`{"type":"precipitation_amount"}`), []string{"alert.conditions[0]"}},
		"negative mm":                         {with(`{"type":"precipitation_amount","min_mm":-1}`), []string{"alert.conditions[0].min_mm"}},
		"min over max":                        {with(`{"type":"precipitation_amount","min_mm":2,"max_mm":1}`), []string{"alert.conditions[0].min_mm"}},
		"an unknown period":                   {with(`{"type":"precipitation_amount","min_mm":2,"per":"week"}`), []string{"alert.conditions[0].per"}},
		"window_minutes of no minute":         {with(`{"type":"sun","value":"noon","window_minutes":0}`), []string{"alert.conditions[0].window_minutes"}},
		"window_minutes in parts":             {with(`{"type":"sun","value":"noon","window_minutes":1.5}`), []string{"alert.conditions[0].window_minutes"}},
		"window_minutes for a window":         {with(`{"type":"sun","value":"evening_blue_hour","window_minutes":5}`), []string{"alert.conditions[0].window_minutes"}},
		"a horizon of none":                   {top(`"horizon_hours":0`), []string{"horizon_hours"}},
		"a horizon over a week":               {top(`"horizon_hours":169`), []string{"horizon_hours"}},
		"now without a zone":                  {top(`"now":"2026-01-17T12:00:00"`), []string{"now"}},
		"now in the year 1":                   {top(`"now":"0001-01-17T12:00:00Z"`), []string{"now"}},
		"definitions upside down":             {inside(`"definitions":{"golden":[6,-4]}`), []string{"alert.definitions.golden"}},
		"definitions out of range":            {top(`"definitions":{"blue":[-19,31]}`), []string{"definitions.blue[0]", "definitions.blue[1]"}},
		"definitions of three numbers":        {top(`"definitions":{"blue":[-6,-5,-4]}`), []string{"definitions.blue"}},
		"definitions twice":                   {`{"alert":{"place":{"lat":1,"lon":2},"conditions":[` + eveningBlue + `],"definitions":{}},"definitions":{}}`, []string{"alert.definitions"}},
		"a day without anything":              {day(``), []string{"sun.lat", "sun.lon", "sun.date"}},
		"a day with a query":                  {day(`"query":"Oslo","lat":1,"lon":1,"date":"2026-01-01"`), []string{"sun.query"}},
		"a day that does not exist":           {day(`"lat":1,"lon":1,"date":"2026-02-29"`), []string{"sun.date"}},
		"a day too long ago":                  {day(`"lat":1,"lon":1,"date":"1899-12-31"`), []string{"sun.date"}},
		"everything wrong is reported at once": {
			`{"alert":{"place":{"lat":91,"lon":181,"tz":"x"},"conditions":[{"type":"day_of_week","values":["x"]},{"type":"sun","value":"y"}],"zz":1},"horizon_hours":"2"}`,
			[]string{"alert.conditions[0].values[0]", "alert.conditions[1].value", "alert.place.lat", "alert.place.lon", "alert.place.tz", "alert.zz", "horizon_hours"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			status, answer := post(t, f, c.body)
			require.Equal(t, 422, status, "%s", answer)
			var out failure
			require.NoError(t, json.Unmarshal(answer, &out))
			require.Equal(t, "invalid_params", out.Error.Code)
			var paths []string
			for _, p := range out.Error.Problems {
				require.NotEmpty(t, p.Problem)
				paths = append(paths, p.Path)
			}
			require.ElementsMatch(t, c.paths, paths)
			require.Empty(t, f.urls)
		})
	}
}

func TestAnUnknownDayNamesTheKnownOnes(t *testing.T) {
	_, answer := post(t, &fakes{}, haarlem(noonSat, eveningBlue+`,{"type":"day_of_week","values":["sunday"]}`))
	require.Contains(t, string(answer),
		`{"path":"alert.conditions[1].values[0]","problem":"unknown day","allowed":["mon","tue","wed","thu","fri","sat","sun"]}`)
}

// replaced is the sample forecast with one string for another.
func replaced(t *testing.T, from, to string) string {
	t.Helper()
	body := file(t, "testdata/open-meteo-forecast.json")
	require.Contains(t, body, from)
	return strings.Replace(body, from, to, 1)
}

func answers(status int, body string, err error) func() (int, string, error) {
	return func() (int, string, error) { return status, body, err }
}

func TestUpstreamFailureLeavesTheAlertUndetermined(t *testing.T) {
	type failing struct {
		answer     func() (int, string, error)
		headers    guest.Pairs
		reason     string
		retryAfter int
	}
	both := map[string]failing{
		"it takes too long":                    {answer: answers(0, "", fmt.Errorf("get: %w", context.DeadlineExceeded)), reason: "timeout"},
		"it cannot be reached":                 {answer: answers(0, "", errors.New("refused")), reason: "unreachable"},
		"it is down":                           {answer: answers(503, "sorry", nil), reason: "http_503"},
		"it refuses the question":              {answer: answers(400, file(t, "testdata/open-meteo-error.json"), nil), reason: "http_400"},
		"it redirects":                         {answer: answers(302, "", nil), reason: "http_302"},
		"it wants fewer questions":             {answer: answers(429, "", nil), reason: "rate_limited"},
		"it wants fewer and says for how long": {answer: answers(429, "", nil), headers: guest.Pairs{{Name: "retry-after", Value: "30"}}, reason: "rate_limited", retryAfter: 30},
		"it wants fewer and says until when":   {answer: answers(429, "", nil), headers: guest.Pairs{{Name: "date", Value: "Sat, 17 Jan 2026 11:59:00 GMT"}, {Name: "retry-after", Value: "Sat, 17 Jan 2026 12:01:00 GMT"}}, reason: "rate_limited", retryAfter: 120},
		"it wants fewer until a time unknown":  {answer: answers(429, "", nil), headers: guest.Pairs{{Name: "retry-after", Value: "Sat, 17 Jan 2026 12:01:00 GMT"}}, reason: "rate_limited"},
		"it wants fewer in words":              {answer: answers(429, "", nil), headers: guest.Pairs{{Name: "retry-after", Value: "-5 later"}}, reason: "rate_limited"},
		"it breaks off":                        {answer: answers(200, `{"hourly":{"time":[17`, nil), reason: "bad_answer"},
		"it answers a page":                    {answer: answers(200, "<html>", nil), reason: "bad_answer"},
	}
	weather := map[string]failing{
		"an array is missing":          {answer: ok(replaced(t, `"rain":[0.0,0.0,0.0,0.4,0.3,0.0],`, "")), reason: "bad_answer"},
		"an array is too short":        {answer: ok(replaced(t, `"snowfall":[0.0,`, `"snowfall":[`)), reason: "bad_answer"},
		"there are no hours":           {answer: ok(`{"hourly":{"time":[]}}`), reason: "bad_answer"},
		"hours are missing in between": {answer: ok(replaced(t, "1768662000,", "1768662001,")), reason: "bad_answer"},
		"an amount is absurd":          {answer: ok(replaced(t, "0.9,", "1e307,")), reason: "bad_answer"},
		"an amount is negative":        {answer: ok(replaced(t, "0.9,", "-0.9,")), reason: "bad_answer"},
		"an amount is text":            {answer: ok(replaced(t, "0.9,", `"0.9",`)), reason: "bad_answer"},
		"the hour is null":             {answer: ok(replaced(t, "0.9,", "null,")), reason: "no_data"},
		"the hour's code is null":      {answer: ok(replaced(t, "[3,71,73,71,", "[3,71,73,null,")), reason: "no_data"},
		"the forecast ends before":     {answer: ok(`{"hourly":{"time":[1768658400],"precipitation":[0],"rain":[0],"showers":[0],"snowfall":[0],"weather_code":[0]}}`), reason: "beyond_forecast"},
	}
	body := file(t, "events/alert.json")
	check := func(t *testing.T, f *fakes, c failing, unknown []int, calls int) {
		j := judge(t, f, body)
		require.Equal(t, "undetermined", j.Decision)
		for _, i := range unknown {
			require.Equal(t, "unknown", j.Conditions[i].Result)
			require.Equal(t, c.reason, j.Conditions[i].Reason)
			require.Equal(t, c.retryAfter, j.Conditions[i].Retry_After_S)
		}
		require.Empty(t, j.Why_Not)
		require.Len(t, f.urls, calls)
	}
	for _, table := range []map[string]failing{both, weather} {
		for name, c := range table {
			t.Run("weather: "+name, func(t *testing.T) {
				f := healthy(t)
				f.weather, f.headers = c.answer, c.headers
				check(t, f, c, []int{2, 3}, 2)
			})
		}
	}
	for name, c := range both {
		t.Run("geocoding: "+name, func(t *testing.T) {
			f := healthy(t)
			f.place, f.headers = c.answer, c.headers
			check(t, f, c, []int{0, 1, 2, 3}, 1)
		})
	}
	for name, result := range map[string]string{
		"a place off the globe":     `"latitude":520.0,"longitude":4.6,"timezone":"Europe/Amsterdam"`,
		"an unknown time zone":      `"latitude":52.0,"longitude":4.6,"timezone":"Mars/Base"`,
		"a place without time zone": `"latitude":52.0,"longitude":4.6`,
	} {
		t.Run("geocoding: "+name, func(t *testing.T) {
			f := healthy(t)
			f.place = ok(`{"results":[{"name":"Haarlem","country_code":"NL",` + result + `}]}`)
			check(t, f, failing{reason: "bad_answer"}, []int{0, 1, 2, 3}, 1)
		})
	}
}

func TestAFailingConditionBeatsAnUnknownOne(t *testing.T) {
	f := healthy(t)
	f.weather = ok(replaced(t, "[3,71,73,71,61,3]", "[3,71,73,71,61,null]"))
	// 17:00-18:00Z is rain; the next hour, which night reaches into, is null.
	j := judge(t, f, haarlem(noonSat, `{"type":"sun","value":"sunset"},`+wantSnow+`,{"type":"precipitation_amount","per":"day","min_mm":1}`))
	require.Equal(t, []string{"match", "match", "unknown"}, []string{j.Conditions[0].Result, j.Conditions[1].Result, j.Conditions[2].Result})
	require.Equal(t, "undetermined", j.Decision)
	j = judge(t, f, haarlem(noonSat, eveningBlue+","+wantSnow+`,{"type":"precipitation_amount","per":"day","min_mm":1}`))
	require.Equal(t, []string{"match", "no_match", "unknown"}, []string{j.Conditions[0].Result, j.Conditions[1].Result, j.Conditions[2].Result})
	require.Equal(t, "hold", j.Decision)
}

func TestACallLeavesTimeToAnswer(t *testing.T) {
	for name, c := range map[string]struct{ left, takes time.Duration }{
		"plenty of time: a call has its own limit": {time.Hour, longestCall},
		"little time: a call takes half of it":     {3 * time.Second, 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hanging := &service{fetch: func(ctx context.Context, _ string, _ guest.Pairs) (int, guest.Pairs, []byte, error) {
					<-ctx.Done()
					return 0, nil, nil, ctx.Err()
				}}
				ctx, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				began := time.Now()
				require.Equal(t, call{Service: "slow", Reason: "timeout"}, hanging.get(ctx, "slow", "", nil))
				require.Equal(t, c.takes, time.Since(began))
			})
		})
	}
}

func TestAForecastOfNoPlaceIsNeverAsked(t *testing.T) {
	s := rehearsal(newOpenMeteo(""))
	calls := 0
	s.fetch = func(context.Context, string, guest.Pairs) (int, guest.Pairs, []byte, error) {
		calls++
		return 0, nil, nil, errors.New("down")
	}
	status, answer := s.serve(t.Context(), &guest.Event{Body: sampleAlert})
	require.EqualValues(t, 200, status)
	require.Equal(t, undetermined, answer.(*alertAnswer).Decision)
	require.Equal(t, 1, calls)
}
