package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

const (
	eveningBlue = `{"type":"sun","value":"evening_blue_hour"}`
	wantSnow    = `{"type":"precipitation_type","values":["snow"]}`
	noonSat     = "2026-01-17T12:00:00Z"
)

func TestTheWorkedExample(t *testing.T) {
	f := healthy(t)
	body := strings.Replace(file(t, "events/alert.json"), `"horizon_hours"`, `"now":"2026-01-17T12:00:00Z","horizon_hours"`, 1)
	j := judge(t, f, body)

	require.Equal(t, "send", j.Decision)
	require.Equal(t, "Haarlem, North Holland, Netherlands", j.Place.Label)
	require.Equal(t, "Europe/Amsterdam", j.Place.TZ)
	require.Equal(t, "geocoder", j.Place.TZFrom)
	require.Empty(t, j.Place.Alts, "the query named the country")
	require.WithinDuration(t, at(t, "2026-01-17T16:25:31Z"), at(t, j.Window.Start), 150*time.Second)
	require.WithinDuration(t, at(t, "2026-01-17T16:40:21Z"), at(t, j.Window.End), 150*time.Second)
	require.True(t, strings.HasSuffix(j.Window.Local_Start, "+01:00"))
	require.InDelta(t, 890, j.Window.Seconds, 60)

	for _, c := range j.Conditions {
		require.Equal(t, "match", c.Result)
	}
	require.Equal(t, "sun between -4 and -6 degrees, going down", j.Conditions[0].Detail)
	require.Equal(t, "sat", j.Conditions[1].Observed)
	require.Equal(t, []any{"sleet"}, j.Conditions[2].Observed)
	require.Equal(t, "rain 0.4 mm and snow 0.35 cm in the hour 16:00-17:00Z", j.Conditions[2].Detail)
	require.Equal(t, 0.9, *j.Conditions[3].Observed_MM)

	require.WithinDuration(t, at(t, "2026-01-18T16:27:05Z"), at(t, j.Next.Start), 150*time.Second)
	require.False(t, j.Next.Certain)
	require.Empty(t, j.Why_Not)
	require.Equal(t, []string{"Weather data by Open-Meteo.com (CC BY 4.0)"}, j.Attribution)
	require.Len(t, j.Calls, 2)
	require.Equal(t, []string{
		"http://geo.test/v1/search?name=Haarlem&count=10&language=en&format=json&countryCode=NL",
		"http://weather.test/v1/forecast?latitude=52.38084&longitude=4.63683" +
			"&hourly=precipitation,rain,showers,snowfall,weather_code&timeformat=unixtime&timezone=UTC" +
			"&start_date=2026-01-17&end_date=2026-01-19",
	}, f.urls)
}

// The exact form of an answer, as callers parse it.
func TestTheAnswersForm(t *testing.T) {
	status, answer := post(t, healthy(t), file(t, "events/alert.json"))
	require.Equal(t, 200, status)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(answer, &fields))
	require.Equal(t, "a-17", fields["alert_id"])
	require.Equal(t, []any{}, fields["why_not"])
	require.Equal(t, map[string]any{"golden": []any{-4.0, 6.0}, "blue": []any{-6.0, -4.0}, "refraction": "sunrise and sunset only"}, fields["definitions"])
	amount := fields["conditions"].([]any)[3].(map[string]any)
	require.Equal(t, map[string]any{"service": "open-meteo", "status": 200.0}, amount["source"])
	require.Equal(t, map[string]any{"per": "hour", "min_mm": 0.5, "max_mm": 5.0}, amount["wanted"])
}

func TestTheSameQuestionGetsTheSameBytes(t *testing.T) {
	for _, name := range []string{"events/alert.json", "events/day.json", "events/computed.json"} {
		_, first := post(t, healthy(t), file(t, name))
		for range 20 {
			_, again := post(t, healthy(t), file(t, name))
			require.Equal(t, string(first), string(again))
		}
	}
	bad := `{"alert":{"z":1,"y":2,"x":3,"place":{"c":1,"b":2,"a":3},"conditions":[{}]},"q":1,"p":2}`
	_, first := post(t, healthy(t), bad)
	for range 20 {
		_, again := post(t, healthy(t), bad)
		require.Equal(t, string(first), string(again))
	}
}

func TestNoCallThatCannotChangeTheDecision(t *testing.T) {
	weekdays := `{"type":"day_of_week","values":["mon"]}`
	for name, c := range map[string]struct {
		body     string
		decision string
		calls    int
	}{
		"nothing but light: no call":                  {haarlem(noonSat, eveningBlue), "send", 0},
		"a weekday that is not inside the horizon":    {haarlem(noonSat, eveningBlue+","+weekdays+","+wantSnow), "hold", 0},
		"blue hour in the polar day":                  {alertAt("78.2", "15.6", "UTC", "2026-06-21T00:00:00Z", eveningBlue+","+wantSnow), "hold", 0},
		"a place by its coordinates and weather: one": {haarlem(noonSat, eveningBlue+","+wantSnow), "hold", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			j := judge(t, f, c.body)
			require.Equal(t, c.decision, j.Decision)
			require.Len(t, f.urls, c.calls)
			require.Len(t, j.Calls, c.calls)
		})
	}
}

func TestHoldSaysWhy(t *testing.T) {
	t.Run("sleet is not snow, and the nearest snow is an hour before", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, eveningBlue+","+wantSnow))
		require.Equal(t, "hold", j.Decision)
		require.Len(t, j.Why_Not, 1)
		require.Equal(t, 1, j.Why_Not[0].Condition)
		require.Equal(t, []any{"snow"}, j.Why_Not[0].Wanted)
		require.Equal(t, []any{"sleet"}, j.Why_Not[0].Seen)
		require.Equal(t, "2026-01-17T14:00:00Z", *j.Why_Not[0].Nearest)
	})
	t.Run("too little, and by how much", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, eveningBlue+`,{"type":"precipitation_amount","min_mm":1.1}`))
		require.Equal(t, "hold", j.Decision)
		require.Equal(t, 0.2, *j.Why_Not[0].Short_By_MM)
		require.Equal(t, 0.9, j.Why_Not[0].Seen)
		require.Equal(t, "2026-01-17T15:00:00Z", *j.Why_Not[0].Nearest)
	})
	t.Run("too much, and by how much", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, eveningBlue+`,{"type":"precipitation_amount","max_mm":0.5}`))
		require.Equal(t, "hold", j.Decision)
		require.Equal(t, 0.4, *j.Why_Not[0].Over_By_MM)
	})
	t.Run("not at either bound", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, eveningBlue+`,{"type":"precipitation_amount","min_mm":0.9,"max_mm":0.9}`))
		require.Equal(t, "send", j.Decision)
	})
	t.Run("the wrong day, and when the right one begins here", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, eveningBlue+`,{"type":"day_of_week","values":["tue","wed"]}`))
		require.Equal(t, "hold", j.Decision)
		require.Equal(t, "sat", j.Why_Not[0].Seen)
		require.Equal(t, "2026-01-19T23:00:00Z", *j.Why_Not[0].Nearest)
		require.Equal(t, "2026-01-20", j.Next.Start[:10])
		require.True(t, j.Next.Certain)
	})
	t.Run("a sun that never gets there, and how far it gets", func(t *testing.T) {
		j := judge(t, healthy(t), alertAt("78.22334", "15.64689", "UTC", "2026-06-21T00:00:00Z", eveningBlue))
		require.Equal(t, "hold", j.Decision)
		require.Nil(t, j.Window)
		seen := j.Why_Not[0].Seen.(map[string]any)
		require.InDelta(t, 11.66, seen["sun_lowest"], 0.05) // declination - (90 - latitude)
		require.InDelta(t, 35.21, seen["sun_highest"], 0.05)
		require.Equal(t, j.Next.Start, *j.Why_Not[0].Nearest)
		require.Equal(t, "2026-09", j.Next.Start[:7]) // when the declination has sunk to 7.8
	})
	t.Run("light that never comes together", func(t *testing.T) {
		j := judge(t, healthy(t), haarlem(noonSat, `{"type":"sun","value":"noon"},{"type":"night","value":"night"}`))
		require.Equal(t, "hold", j.Decision)
		require.Nil(t, j.Next)
		require.Equal(t, "never_together", j.Next_Reason)
		require.Equal(t, []string{"match", "no_match"}, []string{j.Conditions[0].Result, j.Conditions[1].Result})
	})
}

func TestSunThatNeverComesOnAWantedDay(t *testing.T) {
	// The pole's one sunrise within 400 days is on Friday 2022-03-18.
	body := func(day string) string {
		return alertAt("90", "0", "UTC", "2022-01-01T00:00:00Z", `{"type":"sun","value":"sunrise"},{"type":"day_of_week","values":["`+day+`"]}`)
	}
	j := judge(t, healthy(t), body("sat"))
	require.Nil(t, j.Next)
	require.Equal(t, "sun_never_reaches", j.Next_Reason)
	j = judge(t, healthy(t), body("fri"))
	require.Equal(t, "2022-03-18", j.Next.Start[:10])
}

func TestWindows(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		start string // to the minute
		secs  int
	}{
		"a window under way has its start in the past": {haarlem("2026-01-17T16:30:00Z", eveningBlue), "2026-01-17T16:25", 890},
		"a window just over is not reported":           {haarlem("2026-01-17T16:42:00Z", eveningBlue), "2026-01-18T16:27", 890},
		"an instant has 15 minutes on either side":     {haarlem(noonSat, `{"type":"sun","value":"sunset"}`), "2026-01-17T15:46", 1800},
		"window_minutes widens it":                     {haarlem(noonSat, `{"type":"sun","value":"sunset","window_minutes":60}`), "2026-01-17T15:01", 7200},
		"noon is the transit":                          {haarlem(noonSat, `{"type":"sun","value":"noon"}`), "2026-01-17T11:36", 1800},
		"night lasts through midnight":                 {haarlem(noonSat, `{"type":"night","value":"night"}`), "2026-01-17T18:03", 41740},
		"a night belongs to the evening it begins on":  {haarlem("2026-01-18T02:00:00Z", `{"type":"night","value":"night"},{"type":"day_of_week","values":["sat"]}`), "2026-01-17T18:03", 41740},
		"golden hour and civil twilight meet under the horizon": {haarlem(noonSat,
			`{"type":"sun","value":"evening_golden_hour"},{"type":"night","value":"civil_twilight"}`), "2026-01-17T15:54", 1865},
		"a weekday alone is the place's whole day":     {haarlem(noonSat, `{"type":"day_of_week","values":["sun"]}`), "2026-01-17T23:00", 86400},
		"a weekday where tomorrow has begun":           {alertAt("-36.85", "174.76", "Pacific/Auckland", noonSat, `{"type":"day_of_week","values":["sun"]}`), "2026-01-17T11:00", 86400},
		"a day of 23 hours":                            {haarlem("2026-03-29T12:00:00Z", `{"type":"day_of_week","values":["sun"]}`), "2026-03-28T23:00", 82800},
		"weather without light is judged hour by hour": {haarlem(noonSat, wantSnow), "2026-01-17T14:00", 3600},
		"the first matching hour, not the first hour":  {haarlem(noonSat, `{"type":"precipitation_type","values":["rain"]}`), "2026-01-17T17:00", 3600},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			// 13:00Z too, so that the hour under way at noon is known.
			f.weather = ok(dryFrom(t, "2026-01-17T13:00:00Z"))
			j := judge(t, f, c.body)
			require.Equal(t, "send", j.Decision)
			want := at(t, c.start+":30Z")
			require.WithinDuration(t, want, at(t, j.Window.Start), 90*time.Second)
			require.InDelta(t, c.secs, j.Window.Seconds, 60)
		})
	}
}

// dryFrom returns the sample forecast with a dry hour, ending at first, before it.
func dryFrom(t testing.TB, first string) string {
	t.Helper()
	var answer openMeteoAnswer
	require.NoError(t, json.Unmarshal([]byte(file(t, "testdata/open-meteo-forecast.json")), &answer))
	h := &answer.Hourly
	zero := 0.0
	require.Equal(t, at(t, first).Unix(), h.Time[0]-3600)
	h.Time = append([]int64{h.Time[0] - 3600}, h.Time...)
	for _, values := range []*[]*float64{&h.Precipitation, &h.Rain, &h.Showers, &h.Snowfall, &h.Code} {
		*values = append([]*float64{&zero}, *values...)
	}
	return string(encode(answer))
}

func TestTheDaysAmountIsItsSum(t *testing.T) {
	hourly := `{"hourly":{"time":[`
	var times, ones, zeros []string
	start := at(t, "2026-01-16T23:00:00Z") // midnight in Haarlem
	for i := range 24 {
		b, _ := json.Marshal(start.Add(time.Duration(i+1) * time.Hour).Unix())
		times, ones, zeros = append(times, string(b)), append(ones, "0.1"), append(zeros, "0")
	}
	one, zero := strings.Join(ones, ","), strings.Join(zeros, ",")
	code := strings.ReplaceAll(one, "0.1", "61")
	f := healthy(t)
	f.weather = ok(hourly + strings.Join(times, ",") + `],"precipitation":[` + one + `],"rain":[` + one +
		`],"showers":[` + zero + `],"snowfall":[` + zero + `],"weather_code":[` + code + `]}}`)
	j := judge(t, f, haarlem(noonSat, eveningBlue+`,{"type":"precipitation_amount","per":"day","min_mm":2}`))
	require.Equal(t, "send", j.Decision)
	require.Equal(t, 2.4, *j.Conditions[1].Observed_MM)
}

func TestTypesOfPrecipitation(t *testing.T) {
	for name, c := range map[string]struct {
		mm, liquid, frozen float64
		code               int
		kind               string
		counted            float64
	}{
		"rain by its code":                     {1, 1, 0, 63, rain, 1},
		"drizzle is rain":                      {0.1, 0.1, 0, 51, rain, 0.1},
		"a thunderstorm is rain":               {5, 5, 0, 95, rain, 5},
		"snow by its code":                     {1, 0, 0.7, 73, snow, 1},
		"snow grains are snow":                 {0.2, 0, 0.1, 77, snow, 0.2},
		"freezing rain is sleet":               {1, 1, 0, 66, sleet, 1},
		"rain and snow in one hour are sleet":  {0.9, 0.4, 0.35, 71, sleet, 0.9},
		"hail is not sleet":                    {9, 5, 0.1, 96, none, 0},
		"a wet code without an amount is none": {0, 0, 0, 61, none, 0},
		"an amount under a dry code is none":   {0.1, 0.1, 0, 3, none, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := span{start: 1768665600, end: 1768669200, mm: c.mm}
			s.nameByAmounts(c.liquid, c.frozen, c.code)
			require.Equal(t, c.kind, s.kind)
			require.Equal(t, c.counted, s.mm)
		})
	}
}

func TestPlaces(t *testing.T) {
	ask := func(query string) string {
		return `{"alert":{"place":{"query":"` + query + `"},"conditions":[` + eveningBlue + `]}}`
	}
	t.Run("of several equally good the most populous, and the others named", func(t *testing.T) {
		j := judge(t, healthy(t), ask("Haarlem"))
		require.Equal(t, "Haarlem, North Holland, Netherlands", j.Place.Label)
		require.Equal(t, []string{"Haarlem, Western Cape, South Africa"}, j.Place.Alts)
	})
	t.Run("a country by name narrows the choice", func(t *testing.T) {
		j := judge(t, healthy(t), ask("Haarlem, South Africa"))
		require.Equal(t, "Africa/Johannesburg", j.Place.TZ)
	})
	t.Run("a query is encoded", func(t *testing.T) {
		f := healthy(t)
		status, _ := post(t, f, ask("a&b=c d#é"))
		require.Equal(t, 200, status)
		require.Contains(t, f.urls[0], "?name=a%26b%3Dc+d%23%C3%A9&count=")
	})
	t.Run("no such place", func(t *testing.T) {
		f := healthy(t)
		f.place = ok(file(t, "testdata/open-meteo-geocoding-empty.json"))
		status, answer := post(t, f, ask("Qwxyz"))
		require.Equal(t, 422, status)
		require.Contains(t, string(answer), `"code":"place_not_found"`)
		require.Len(t, f.urls, 1)
	})
	t.Run("coordinates win over the query, which is a label", func(t *testing.T) {
		f := healthy(t)
		j := judge(t, f, `{"alert":{"place":{"query":"The pier","lat":52,"lon":4},"conditions":[`+eveningBlue+`]}}`)
		require.Empty(t, f.urls)
		require.Equal(t, "The pier", j.Place.Label)
		require.Equal(t, "default", j.Place.TZFrom)
	})
	t.Run("the request's time zone wins over the geocoder's", func(t *testing.T) {
		j := judge(t, healthy(t), `{"alert":{"place":{"query":"Haarlem","tz":"Asia/Tokyo"},"conditions":[`+eveningBlue+`]}}`)
		require.Equal(t, "Asia/Tokyo", j.Place.TZ)
		require.Equal(t, "request", j.Place.TZFrom)
	})
}

func TestTheClockIsAskedOnlyWithoutNow(t *testing.T) {
	f := healthy(t)
	sample := strings.Replace(file(t, "events/computed.json"), "{", "", 1)
	_, byClock := post(t, f, "{"+sample) // the test's clock stands at noonSat
	_, byNow := post(t, f, `{"now":"2026-01-17T13:00:00+01:00",`+sample)
	require.Equal(t, string(byClock), string(byNow))
	_, other := post(t, f, `{"now":"2026-01-19T12:00:00Z",`+sample)
	require.NotEqual(t, string(byClock), string(other))
}

func TestWarmUpMeetsEveryPath(t *testing.T) {
	for _, weather := range []provider{newOpenMeteo("a"), newMetNorway("b"), newOpenWeather("c")} {
		s := rehearsal(weather)
		status, answer := s.serve(t.Context(), &guest.Event{Body: sampleAlert})
		require.EqualValues(t, 200, status)
		require.Equal(t, "send", answer.(*alertAnswer).Decision, weather.name)
		require.Len(t, answer.(*alertAnswer).Calls, 2)
		status, _ = s.serve(t.Context(), &guest.Event{Body: sampleDay})
		require.EqualValues(t, 200, status)
		warm(weather)
	}
}
