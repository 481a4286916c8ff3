package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheWorkedAnswer compares the whole answer with the specification's: the
// same fields everywhere, times to 150 seconds, all else exactly.
func TestTheWorkedAnswer(t *testing.T) {
	status, answer := post(t, healthy(t), file(t, "testdata/worked-request.json"))
	require.Equal(t, 200, status)
	var want, got any
	require.NoError(t, json.Unmarshal([]byte(file(t, "testdata/worked-answer.json")), &want))
	require.NoError(t, json.Unmarshal(answer, &got))
	alike(t, "answer", want, got)
}

func alike(t *testing.T, path string, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		require.ElementsMatch(t, keys(w), keys(g), path)
		for name := range w {
			alike(t, path+"."+name, w[name], g[name])
		}
	case []any:
		g, _ := got.([]any)
		require.Len(t, g, len(w), path)
		for i := range w {
			alike(t, fmt.Sprintf("%s[%d]", path, i), w[i], g[i])
		}
	case string:
		if when, err := time.Parse(time.RFC3339, w); err == nil {
			require.WithinDuration(t, when, at(t, got.(string)), 150*time.Second, path)
			require.Equal(t, w[19:], got.(string)[19:], path+": the offset")
			return
		}
		require.Equal(t, want, got, path)
	case float64:
		if path == "answer.window.seconds" {
			require.InDelta(t, w, got, 300, path)
			return
		}
		require.Equal(t, want, got, path)
	default:
		require.Equal(t, want, got, path)
	}
}

func keys(m map[string]any) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Every code of Open-Meteo's list, and that there are no others.
func TestCodesOfOpenMeteo(t *testing.T) {
	kinds := map[int]string{
		51: rain, 53: rain, 55: rain, 61: rain, 63: rain, 65: rain, 80: rain, 81: rain, 82: rain, 95: rain,
		56: sleet, 57: sleet, 66: sleet, 67: sleet,
		71: snow, 73: snow, 75: snow, 77: snow, 85: snow, 86: snow,
	}
	for code := -1; code <= 100; code++ {
		want := kinds[code]
		if want == "" {
			want = none
		}
		require.Equal(t, want, kindOfWMO(code), code)
	}
}

func TestHoldSaysByHowManyDegrees(t *testing.T) {
	for name, c := range map[string]struct {
		place, conditions string
		off               float64 // 0: not said
	}{
		"blue hour in the polar day":         {summer, eveningBlue, 11.66 + 4},
		"sunset in the polar day":            {summer, `{"type":"sun","value":"sunset"}`, 11.66 + 0.83},
		"night in the polar day":             {summer, `{"type":"night","value":"night"}`, 11.66 + 18},
		"sunrise in the polar night":         {winter, `{"type":"sun","value":"sunrise"}`, 11.66 - 0.83},
		"golden hour in the polar night":     {winter, `{"type":"sun","value":"morning_golden_hour"}`, 11.66 - 4},
		"noon is a matter of time":           {"short", `{"type":"sun","value":"noon","window_minutes":1}`, 0},
		"the sun is there, on its way down":  {"short", `{"type":"sun","value":"morning_golden_hour"}`, 0},
		"evening comes after the horizon":    {"short", `{"type":"night","value":"night"}`, 17},
		"never at the same time, each alone": {"", `{"type":"sun","value":"noon"},{"type":"night","value":"night"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			body := haarlem(noonSat, c.conditions)
			switch c.place {
			case summer, winter:
				body = alertAt("78.22334", "15.64689", "UTC", c.place, c.conditions)
			case "short":
				body = at15(c.conditions)
			}
			j := judge(t, healthy(t), body)
			require.Equal(t, "hold", j.Decision)
			off := j.Why_Not[len(j.Why_Not)-1].Off_By_Degrees
			if c.off == 0 {
				require.Nil(t, off)
				return
			}
			require.InDelta(t, c.off, *off, 1)
		})
	}
}

const (
	summer = "2026-06-21T00:00:00Z"
	winter = "2026-12-21T00:00:00Z"
)

// A night near the pole lasts for weeks, and no forecast does.
func TestAForecastIsNotAskedForWeeks(t *testing.T) {
	f := healthy(t)
	j := judge(t, f, alertAt("89", "0", "UTC", winter, `{"type":"night","value":"night"},`+wantSnow))
	require.Equal(t, "undetermined", j.Decision)
	require.Greater(t, j.Window.Seconds, 60*86400)
	require.Contains(t, f.urls[0], "&end_date=2027-01-04")
}

// The longest search: neither light ever meets the other on that day.
func BenchmarkSearchOf400Days(b *testing.B) {
	body := alertAt("78.2", "15.6", "Europe/Oslo", "2026-01-01T00:00:00Z",
		`{"type":"sun","value":"morning_blue_hour"},{"type":"night","value":"night"},{"type":"day_of_week","values":["sat"]}`)
	for b.Loop() {
		post(b, &fakes{}, body)
	}
}
