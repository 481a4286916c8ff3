package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type daySeen struct {
	Events []struct{ Event, State, UTC string }
	Place  struct {
		TZ     string
		TZFrom string `json:"tz_from"`
	}
}

func askDay(t testing.TB, lat, lon, tz, date string) daySeen {
	t.Helper()
	status, answer := post(t, &fakes{}, fmt.Sprintf(`{"sun":{"lat":%s,"lon":%s,"tz":%q,"date":%q}}`, lat, lon, tz, date))
	require.Equal(t, 200, status, "%s", answer)
	var d daySeen
	require.NoError(t, json.Unmarshal(answer, &d))
	return d
}

// times returns the instants of one event, and its state when it has none.
func (d *daySeen) times(t testing.TB, name string) (times []time.Time, state string) {
	t.Helper()
	for _, e := range d.Events {
		if e.Event == name {
			state = e.State
			if e.UTC != "" {
				times = append(times, at(t, e.UTC))
			}
		}
	}
	require.NotEmpty(t, state, "no event %s in the answer", name)
	return times, state
}

func TestEveryPublishedEvent(t *testing.T) {
	f, err := os.Open("testdata/sun_events.csv")
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 241)
	for _, row := range rows[1:] {
		id, place, event, utc, state := row[0], row[1], row[6], row[7], row[8]
		t.Run(id+" "+place+" "+row[5]+" "+event, func(t *testing.T) {
			day := askDay(t, row[2], row[3], row[4], row[5])
			times, got := day.times(t, event)
			require.Equal(t, state, got)
			if state != "ok" {
				require.Empty(t, times)
				return
			}
			tolerance, err := strconv.Atoi(row[9])
			require.NoError(t, err)
			nearest := 48 * time.Hour
			for _, v := range times {
				nearest = min(nearest, v.Sub(at(t, utc)).Abs())
			}
			require.LessOrEqual(t, nearest.Seconds(), float64(tolerance), "got %v, want %s", times, utc)
		})
	}
}

func TestTheDayIsTheLocalOne(t *testing.T) {
	day := askDay(t, "-36.8484437", "174.7600023", "Pacific/Auckland", "2020-03-20")
	rise, _ := day.times(t, "sunrise")
	require.Len(t, rise, 1)
	require.WithinDuration(t, at(t, "2020-03-19T18:24:27Z"), rise[0], 90*time.Second)
}

func TestDaysOfClockChanges(t *testing.T) {
	for name, c := range map[string]struct {
		lat, lon, zone, date string
		hours                float64
		start                string
	}{
		"spring in Amsterdam has 23 hours": {"52.38", "4.64", "Europe/Amsterdam", "2026-03-29", 23, "2026-03-28T23:00:00Z"},
		"autumn in Amsterdam has 25 hours": {"52.38", "4.64", "Europe/Amsterdam", "2026-10-25", 25, "2026-10-24T22:00:00Z"},
		"spring in Auckland has 23 hours":  {"-36.85", "174.76", "Pacific/Auckland", "2026-09-27", 23, "2026-09-26T12:00:00Z"},
		"autumn in Auckland has 25 hours":  {"-36.85", "174.76", "Pacific/Auckland", "2026-04-05", 25, "2026-04-04T11:00:00Z"},
		"Cairo jumps over midnight itself": {"30.04", "31.24", "Africa/Cairo", "2026-04-24", 23, "2026-04-23T22:00:00Z"},
		"Cairo goes back at midnight":      {"30.04", "31.24", "Africa/Cairo", "2026-10-29", 25, "2026-10-28T21:00:00Z"},
		"Havana has midnight twice":        {"23.11", "-82.37", "America/Havana", "2026-11-01", 25, "2026-11-01T04:00:00Z"},
		"a leap day":                       {"52.38", "4.64", "Europe/Amsterdam", "2024-02-29", 24, "2024-02-28T23:00:00Z"},
		"an hour's quarter in Nepal":       {"27.72", "85.32", "Asia/Kathmandu", "2026-05-01", 24, "2026-04-30T18:15:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := loadZone(c.zone)
			require.NoError(t, err)
			date, err := time.Parse(dateLayout, c.date)
			require.NoError(t, err)
			start, end := dayStart(date, zone), dayStart(date.AddDate(0, 0, 1), zone)
			require.Equal(t, at(t, c.start), start.UTC())
			require.Equal(t, c.hours, end.Sub(start).Hours())

			// Sunrise comes a day after yesterday's, whatever the clocks did.
			today, yesterday := askDay(t, c.lat, c.lon, c.zone, c.date), askDay(t, c.lat, c.lon, c.zone, date.AddDate(0, 0, -1).Format(dateLayout))
			a, _ := today.times(t, "sunrise")
			b, _ := yesterday.times(t, "sunrise")
			require.Len(t, a, 1)
			require.InDelta(t, 24, a[0].Sub(b[0]).Hours(), 0.1)
		})
	}
}

func TestADayThatWasSkippedIsRefused(t *testing.T) {
	status, answer := post(t, &fakes{}, `{"sun":{"lat":-13.8,"lon":-171.8,"tz":"Pacific/Apia","date":"2011-12-30"}}`)
	require.Equal(t, 422, status)
	require.Contains(t, string(answer), `"path":"sun.date"`)
}

func TestPolarDays(t *testing.T) {
	for name, c := range map[string]struct{ lat, lon, date, event, state string }{
		"no twilight in Longyearbyen's January":   {"78.22334", "15.64689", "2026-01-03", "civil_dawn", "always_down"},
		"no sunset in Longyearbyen's June":        {"78.22334", "15.64689", "2026-06-21", "sunset", "always_up"},
		"no blue hour at the midnight sun's edge": {"64.13548", "-21.89541", "2026-06-21", "blue_hour_evening_start", "always_up"},
		"noon happens in the polar night":         {"78.22334", "15.64689", "2026-01-03", "solar_noon", "ok"},
		"the pole has a sunrise without a sunset": {"90", "0", "2022-03-18", "sunset", "none"},
		"and that sunrise":                        {"90", "0", "2022-03-18", "sunrise", "ok"},
		"the south pole is the other way round":   {"-90", "180", "2022-06-21", "sunrise", "always_down"},
		"at the pole the day after is up":         {"90", "-180", "2022-03-20", "sunset", "always_up"},
	} {
		t.Run(name, func(t *testing.T) {
			day := askDay(t, c.lat, c.lon, "UTC", c.date)
			times, state := day.times(t, c.event)
			require.Equal(t, c.state, state)
			require.Equal(t, c.state == "ok", len(times) > 0)
		})
	}
}

func TestADayMayHoldTwoOfAKind(t *testing.T) {
	// The midnight sun's last days in Tromso: the sun sets soon after midnight
	// and again shortly before the next.
	found := 0
	for d := at(t, "2026-07-15T00:00:00Z"); d.Before(at(t, "2026-08-15T00:00:00Z")); d = d.AddDate(0, 0, 1) {
		day := askDay(t, "69.6489", "18.95508", "Europe/Oslo", d.Format(dateLayout))
		sets, _ := day.times(t, "sunset")
		if len(sets) == 2 {
			found++
			require.Greater(t, sets[1].Sub(sets[0]), 23*time.Hour)
		}
	}
	require.Equal(t, 1, found)
}

func TestUTCIsUsedAndSaidWhenNoZoneIsGiven(t *testing.T) {
	status, answer := post(t, &fakes{}, `{"sun":{"lat":0,"lon":0,"date":"1950-06-01"}}`)
	require.Equal(t, 200, status)
	require.Contains(t, string(answer), `"tz":"UTC","tz_from":"default"`)
}

// TestADaysAnswerIsWhatEncodingJSONWrites compares the answer, which is written by hand,
// byte for byte with encoding/json's, at random places and days.
func TestADaysAnswerIsWhatEncodingJSONWrites(t *testing.T) {
	type event struct {
		Event string `json:"event"`
		State string `json:"state"`
		UTC   string `json:"utc,omitempty"`
	}
	rng := rand.New(rand.NewPCG(1, 2))
	states := map[string]int{}
	for range 2000 {
		date := time.Date(1900, 1, 1+rng.IntN(200*365), 0, 0, 0, 0, time.UTC).Format(dateLayout)
		body := fmt.Sprintf(`{"sun":{"lat":%.*f,"lon":%.*f,"tz":"Asia/Kathmandu","date":"%s","definitions":{"blue":[%.2f,-4],"golden":[%ge-%d,6]}}}`,
			rng.IntN(8), 180*rng.Float64()-90, rng.IntN(8), 360*rng.Float64()-180, date, -5-rng.Float64(), 2*rng.Float64()-1, rng.IntN(330))
		status, answer := post(t, &fakes{}, body)
		require.Equal(t, 200, status, "%s", answer)
		var read struct {
			Events      []event     `json:"events"`
			Place       place       `json:"place"`
			Date        string      `json:"date"`
			Definitions definitions `json:"definitions"`
		}
		d := json.NewDecoder(bytes.NewReader(answer))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&read), "%s", answer)
		require.Equal(t, string(encode(read)), string(answer))
		require.Equal(t, date, read.Date)
		for _, e := range read.Events {
			states[e.State]++
		}
	}
	require.Len(t, states, 4, "every state was seen: %v", states)
}

func TestDefinitionsMoveTheirEventsAndAreRepeated(t *testing.T) {
	for _, body := range []string{
		`{"sun":{"lat":52,"lon":4,"date":"2026-03-01","definitions":{"blue":[-8,-4]}}}`,
		`{"sun":{"lat":52,"lon":4,"date":"2026-03-01"},"definitions":{"blue":[-8,-4]}}`,
	} {
		_, answer := post(t, &fakes{}, body)
		require.Contains(t, string(answer), `"definitions":{"golden":[-4,6],"blue":[-8,-4],"refraction":"sunrise and sunset only"}`)
		var wide daySeen
		require.NoError(t, json.Unmarshal(answer, &wide))
		standard := askDay(t, "52", "4", "UTC", "2026-03-01")
		a, _ := wide.times(t, "blue_hour_morning_start")
		b, _ := standard.times(t, "blue_hour_morning_start")
		require.InDelta(t, 13, b[0].Sub(a[0]).Minutes(), 2)
	}
}

func BenchmarkDayRequest(b *testing.B) {
	body := file(b, "events/day.json")
	for b.Loop() {
		post(b, &fakes{}, body)
	}
}

func BenchmarkComputedAlert(b *testing.B) {
	body := file(b, "events/computed.json")
	for b.Loop() {
		post(b, &fakes{}, body)
	}
}
