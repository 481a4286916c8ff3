package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/modules/alerts/sun"
)

// withMetNorway and withOpenWeather serve the sample answer of their service.
func withMetNorway(t testing.TB, body string) *fakes {
	f := healthy(t)
	f.provider, f.weather = newMetNorway, ok(body)
	return f
}

const testKey = "k-e/y+1"

func withOpenWeather(t testing.TB, body string) *fakes {
	f := healthy(t)
	f.provider, f.weather = newOpenWeather, ok(body)
	f.secret = func(name string) (string, error) {
		require.Equal(t, "OPENWEATHER_KEY", name)
		return testKey, nil
	}
	return f
}

const anyWeather = `{"type":"precipitation_type","values":["rain","sleet","snow","none"]}`

func at15(conditions string) string {
	return strings.Replace(haarlem("2026-01-17T15:00:00Z", conditions), `"now"`, `"horizon_hours":2,"now"`, 1)
}

// The amount at a time is that of the hour AFTER it, the opposite of Open-Meteo.
func TestMetNorwayTellsOfTheHourAfter(t *testing.T) {
	f := withMetNorway(t, file(t, "testdata/met-norway-compact.json"))
	j := judge(t, f, at15(`{"type":"precipitation_type","values":["sleet"]},{"type":"precipitation_amount","min_mm":1}`))
	require.Equal(t, "send", j.Decision)
	require.Equal(t, "2026-01-17T15:00:00Z", j.Window.Start)
	require.Equal(t, []any{"sleet"}, j.Conditions[0].Observed)
	require.Equal(t, "symbol sleet and 1.2 mm in the hour 15:00-16:00Z", j.Conditions[0].Detail)
	require.Equal(t, 1.2, *j.Conditions[1].Observed_MM)
	require.Equal(t, []string{"Weather data from MET Norway (CC BY 4.0)"}, j.Attribution)
	require.Equal(t, "met-norway", j.Calls[0].Service)
	require.Equal(t, []string{"http://weather.test/weatherapi/locationforecast/2.0/compact?lat=52.3808&lon=4.6368"}, f.urls)
}

func TestMetNorwayWhereItsHoursEnd(t *testing.T) {
	body := file(t, "testdata/met-norway-compact.json")
	sums := func(conditions, now string) judged {
		return judge(t, withMetNorway(t, body), haarlem(now, conditions))
	}
	const wetDay = `{"type":"precipitation_amount","per":"day","min_mm":1}`
	t.Run("a gap is unknown", func(t *testing.T) {
		j := sums(eveningBlue+","+anyWeather, "2026-01-18T12:00:00Z")
		require.Equal(t, "no_data", j.Conditions[1].Reason)
	})
	t.Run("nobody knows which of six hours is wet", func(t *testing.T) {
		j := sums(eveningBlue+","+anyWeather, "2026-01-20T15:00:00Z")
		require.Equal(t, "undetermined", j.Decision)
		require.Equal(t, "too_coarse", j.Conditions[1].Reason)
	})
	t.Run("six dry hours are six dry hours", func(t *testing.T) {
		dry := strings.Replace(body, `"precipitation_amount":3.1`, `"precipitation_amount":0`, 1)
		j := judge(t, withMetNorway(t, dry), haarlem("2026-01-20T15:00:00Z", eveningBlue+`,{"type":"precipitation_type","values":["none"]}`))
		require.Equal(t, "send", j.Decision)
		require.Equal(t, "no precipitation in the 6 hours 12:00-18:00Z", j.Conditions[1].Detail)
	})
	t.Run("a day needs all of its hours", func(t *testing.T) {
		j := sums(eveningBlue+","+wetDay, "2026-01-17T15:00:00Z")
		require.Equal(t, "before_forecast", j.Conditions[1].Reason)
	})
	t.Run("a day made of sums has their sum", func(t *testing.T) {
		var entries []string
		for i := range 5 { // from midnight in Haarlem to six hours after the next
			entries = append(entries, fmt.Sprintf(`{"time":%q,"data":{"next_6_hours":{"summary":{"symbol_code":"rain"},"details":{"precipitation_amount":0.5}}}}`,
				stamp(time.Unix(1768690800+int64(i)*6*3600, 0))))
		}
		f := withMetNorway(t, `{"properties":{"timeseries":[`+strings.Join(entries, ",")+`]}}`)
		j := judge(t, f, haarlem("2026-01-18T12:00:00Z", eveningBlue+","+wetDay))
		require.Equal(t, "send", j.Decision)
		require.Equal(t, 2.0, *j.Conditions[1].Observed_MM)
	})
	t.Run("the end is the end", func(t *testing.T) {
		j := sums(eveningBlue+","+anyWeather, "2026-01-21T12:00:00Z")
		require.Equal(t, "beyond_forecast", j.Conditions[1].Reason)
	})
}

func TestSymbolsOfMetNorway(t *testing.T) {
	for symbol, kind := range map[string]string{
		"clearsky_day": none, "partlycloudy_polartwilight": none, "cloudy": none, "fog": none,
		"rain": rain, "lightrainshowers_night": rain, "heavyrainandthunder": rain,
		"sleet": sleet, "lightsleetshowersandthunder_day": sleet, "heavysleet": sleet,
		"snow": snow, "lightsnow": snow, "heavysnowshowers_day": snow, "snowandthunder": snow,
	} {
		require.Equal(t, kind, kindOfSymbol(symbol), symbol)
	}
}

func TestOpenWeatherWithItsKey(t *testing.T) {
	f := withOpenWeather(t, file(t, "testdata/openweather-onecall.json"))
	body := at15(`{"type":"precipitation_type","values":["sleet"]},{"type":"precipitation_amount","min_mm":0.5}`)
	j := judge(t, f, body)
	require.Equal(t, "send", j.Decision)
	require.Equal(t, "2026-01-17T16:00:00Z", j.Window.Start)
	require.Equal(t, "weather id 616 and 0.9 mm in the hour 16:00-17:00Z", j.Conditions[0].Detail)
	require.Equal(t, 0.9, *j.Conditions[1].Observed_MM)
	require.Equal(t, []string{"Weather data provided by OpenWeather (https://openweathermap.org)"}, j.Attribution)
	require.Equal(t, []string{"http://weather.test/data/3.0/onecall?lat=52.38084&lon=4.63683" +
		"&exclude=current,minutely,daily,alerts&units=metric&appid=k-e%2Fy%2B1"}, f.urls)
	for name, answer := range map[string]func() (int, string, error){
		"good":   ok(file(t, "testdata/openweather-onecall.json")),
		"denied": answers(401, `{"message":"Invalid API key `+testKey+`"}`, nil),
		"broken": answers(0, "", errors.New("GET "+testKey)),
	} {
		f.weather = answer
		_, text := post(t, f, body)
		require.NotContains(t, string(text), testKey, name)
		require.NotContains(t, string(text), "k-e%2F", name)
	}
}

func TestIDsOfOpenWeather(t *testing.T) {
	for kind, ids := range map[string][]int{
		rain:  {200, 211, 232, 300, 321, 500, 504, 520, 531},
		sleet: {511, 611, 612, 613, 615, 616},
		snow:  {600, 601, 602, 620, 621, 622},
		none:  {0, 199, 400, 603, 614, 701, 741, 781, 800, 804},
	} {
		for _, id := range ids {
			require.Equal(t, kind, kindOfID(id), id)
		}
	}
}

func TestAMissingSecretIsNamed(t *testing.T) {
	for name, get := range map[string]func(string) (string, error){
		"it is not granted": func(string) (string, error) { return "", errors.New("denied") },
		"it is empty":       func(string) (string, error) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := withOpenWeather(t, "")
			f.secret = get
			status, answer := post(t, f, at15(eveningBlue+","+wantSnow))
			require.Equal(t, 500, status)
			var out failure
			require.NoError(t, json.Unmarshal(answer, &out))
			require.Equal(t, "not_configured", out.Error.Code)
			require.Equal(t, "OPENWEATHER_KEY", out.Error.Secret)
			require.Empty(t, f.urls)

			require.Equal(t, "send", judge(t, f, at15(eveningBlue)).Decision, "without weather nothing is missing")
		})
	}
}

func TestAnswersOfTheOtherServicesThatMakeNoSense(t *testing.T) {
	met, open := file(t, "testdata/met-norway-compact.json"), file(t, "testdata/openweather-onecall.json")
	in := func(body, from, to string) string {
		require.Contains(t, body, from)
		return strings.Replace(body, from, to, 1)
	}
	for name, c := range map[string]struct {
		f      *fakes
		reason string
	}{
		"met: no series":           {withMetNorway(t, `{"properties":{}}`), "bad_answer"},
		"met: text":                {withMetNorway(t, `<html>`), "bad_answer"},
		"met: a broken time":       {withMetNorway(t, in(met, "2026-01-17T14:00:00Z", "two o'clock")), "bad_answer"},
		"met: the hour twice":      {withMetNorway(t, in(met, "2026-01-17T15:00:00Z", "2026-01-17T14:00:00Z")), "bad_answer"},
		"met: back in time":        {withMetNorway(t, in(met, "2026-01-20T12:00:00Z", "2026-01-16T12:00:00Z")), "bad_answer"},
		"met: a negative amount":   {withMetNorway(t, in(met, "1.2", "-1.2")), "bad_answer"},
		"met: no amount":           {withMetNorway(t, in(met, `"precipitation_amount":1.2`, "")), "no_data"},
		"met: no symbol":           {withMetNorway(t, in(met, `"symbol_code":"sleet"`, "")), "no_data"},
		"open: no hours":           {withOpenWeather(t, `{"hourly":[]}`), "bad_answer"},
		"open: text":               {withOpenWeather(t, `nope`), "bad_answer"},
		"open: a negative amount":  {withOpenWeather(t, in(open, `"1h":0.4`, `"1h":-0.4`)), "bad_answer"},
		"open: no whole hour":      {withOpenWeather(t, in(open, `1768662000`, `1768662001`)), "bad_answer"},
		"open: hours out of order": {withOpenWeather(t, in(open, `1768662000`, `1768658400`)), "bad_answer"},
		"open: no weather":         {withOpenWeather(t, in(open, `{"id":804,"main":"Clouds","description":"overcast clouds","icon":"04d"}`, ``)), "no_data"},
	} {
		t.Run(name, func(t *testing.T) {
			// The hour under way, 15:00 to 16:00, comes first.
			j := judge(t, c.f, at15(`{"type":"precipitation_type","values":["rain"]}`))
			require.Equal(t, "undetermined", j.Decision)
			require.Equal(t, "2026-01-17T15:00:00Z", j.Window.Start)
			require.Equal(t, c.reason, j.Conditions[0].Reason)
		})
	}
}

// 203 says that the product will go away, and is a good answer until then.
func TestADeprecatedAnswerCounts(t *testing.T) {
	f := withMetNorway(t, "")
	f.weather = answers(203, file(t, "testdata/met-norway-compact.json"), nil)
	j := judge(t, f, at15(anyWeather))
	require.Equal(t, "send", j.Decision)
	require.Equal(t, 203, j.Calls[0].Status)
}

func TestTheWeatherServiceIsChosenByName(t *testing.T) {
	for name, want := range map[string]string{"": "open-meteo", "open-meteo": "open-meteo", "met-norway": "met-norway", "openweather": "openweather"} {
		p, err := chosen(name)
		require.NoError(t, err)
		require.Equal(t, want, p.name)
	}
	_, err := chosen("yr")
	require.EqualError(t, err, `unknown WEATHER_SERVICE "yr": choose one of [open-meteo met-norway openweather]`)
}

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
