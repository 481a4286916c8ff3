package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"spore/modules/alerts/sun"
)

// Types of precipitation. Sleet is rain and snow in one hour (Britain's meaning)
// and freezing rain; details in answers say which it was.
const (
	rain  = "rain"
	sleet = "sleet"
	snow  = "snow"
	none  = "none"
)

// forecast is the weather of a span of hours, or the reason why there is none.
type forecast struct {
	call  call
	hours map[int64]hour // by the Unix time at which the hour BEGINS
	first int64          // the earliest and
	last  int64          // the latest key
}

// hour is one hour's precipitation.
type hour struct {
	known  bool    // false: the service has a null for it
	kind   string  // rain, sleet, snow or none
	mm     float64 // water equivalent; 0 when kind is none
	detail string  // the rule that named the kind
}

// openMeteo is the part of a forecast that is asked for: parallel arrays. The
// amounts at a time are those of the hour before it; snowfall is in cm.
type openMeteo struct {
	Hourly struct {
		Time          []int64    `json:"time"`
		Precipitation []*float64 `json:"precipitation"`
		Rain          []*float64 `json:"rain"`
		Showers       []*float64 `json:"showers"`
		Snowfall      []*float64 `json:"snowfall"`
		Code          []*float64 `json:"weather_code"`
	} `json:"hourly"`
}

// forecast asks for the hours from from to to.
func (s *service) forecast(ctx context.Context, p sun.Place, from, to time.Time) *forecast {
	// The answer's times are the ends of the hours.
	first, last := from.UTC().Truncate(time.Hour).Add(time.Hour), to.UTC().Add(time.Hour-1).Truncate(time.Hour)
	url := s.forecastURL + "/v1/forecast?latitude=" + decimal(p.Lat) + "&longitude=" + decimal(p.Lon) +
		"&hourly=precipitation,rain,showers,snowfall,weather_code&timeformat=unixtime&timezone=UTC" +
		"&start_date=" + first.Format(dateLayout) + "&end_date=" + last.Format(dateLayout)
	var answer openMeteo
	f := &forecast{call: s.get(ctx, serviceForecast, url, &answer)}
	if f.call.Reason == "" && !f.read(&answer) {
		f.call.Reason = reasonBadAnswer
	}
	return f
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// read fills in the hours and reports false when the arrays make no sense.
func (f *forecast) read(a *openMeteo) bool {
	h := &a.Hourly
	n := len(h.Time)
	if n == 0 {
		return false
	}
	f.hours = make(map[int64]hour, n)
	series := [...][]*float64{h.Precipitation, h.Rain, h.Showers, h.Snowfall, h.Code}
	for _, values := range series {
		if len(values) != n || slices.ContainsFunc(values, func(v *float64) bool { return v != nil && *v < 0 }) {
			return false
		}
	}
	f.first, f.last = h.Time[0]-3600, h.Time[n-1]-3600
	for i, end := range h.Time {
		if end != h.Time[0]+int64(i)*3600 || end%3600 != 0 {
			return false
		}
		var v [len(series)]float64
		known := true
		for k, values := range series {
			if values[i] == nil {
				known = false
			} else {
				v[k] = *values[i]
			}
		}
		f.hours[end-3600] = classify(end, known, v[0], v[1]+v[2], v[3], int(v[4]))
	}
	return true
}

// classify names the precipitation of the hour that ends at end: liquid in mm,
// frozen in cm of snow, code the WMO weather code.
func classify(end int64, known bool, mm, liquid, frozen float64, code int) hour {
	h := hour{known: known, kind: none, mm: mm}
	span := time.Unix(end-3600, 0).UTC().Format("15:04-") + time.Unix(end, 0).UTC().Format("15:04Z")
	h.detail = fmt.Sprintf("weather code %d and %v mm in the hour %s", code, mm, span)
	switch {
	case mm == 0:
		h.detail = "no precipitation in the hour " + span
	case liquid > 0 && frozen > 0 && code != 96 && code != 99: // hail is not sleet
		h.kind = sleet
		h.detail = fmt.Sprintf("rain %v mm and snow %v cm in the hour %s", round(liquid), frozen, span)
	default:
		h.kind = kindOfCode(code)
	}
	if h.kind == none {
		h.mm = 0
	}
	return h
}

// kindOfCode maps the WMO codes Open-Meteo emits. A thunderstorm with hail (96,
// 99) is none of the types.
func kindOfCode(code int) string {
	switch code {
	case 51, 53, 55, 61, 63, 65, 80, 81, 82, 95:
		return rain
	case 56, 57, 66, 67:
		return sleet
	case 71, 73, 75, 77, 85, 86:
		return snow
	}
	return none
}

// part is an hour and the seconds of it that are in a window.
type part struct {
	hour
	seconds float64
}

// during returns the hours of w, or the reason why they are not all known.
func (f *forecast) during(w window) (parts []part, reason string) {
	if f.call.Reason != "" {
		return nil, f.call.Reason
	}
	for t := w.start.Truncate(time.Hour); t.Before(w.end); t = t.Add(time.Hour) {
		h, ok := f.hours[t.Unix()]
		switch {
		case !ok:
			return nil, reasonBeyondForecast
		case !h.known:
			return nil, reasonNoData
		}
		inside := earlier(t.Add(time.Hour), w.end).Sub(later(t, w.start))
		parts = append(parts, part{h, inside.Seconds()})
	}
	return parts, ""
}

// round keeps two decimals. What is compared is what the answer shows.
func round(mm float64) float64 { return math.Round(mm*100) / 100 }
