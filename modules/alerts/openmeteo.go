package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"spore/modules/alerts/sun"
)

// openMeteo is api.open-meteo.com: no key, hourly, worldwide.
type openMeteo struct{}

func newOpenMeteo(origin string) provider {
	return provider{openMeteo{}, "open-meteo", origin, "Weather data by Open-Meteo.com (CC BY 4.0)", ""}
}

// openMeteoAnswer is the part of a forecast that is asked for: parallel arrays.
// The amounts at a time are those of the hour before it; snowfall is in cm.
type openMeteoAnswer struct {
	Hourly struct {
		Time          []int64    `json:"time"`
		Precipitation []*float64 `json:"precipitation"`
		Rain          []*float64 `json:"rain"`
		Showers       []*float64 `json:"showers"`
		Snowfall      []*float64 `json:"snowfall"`
		Code          []*float64 `json:"weather_code"`
	} `json:"hourly"`
}

func (openMeteo) question(p sun.Place, from, to time.Time, _ string) string {
	// The answer's times are the ends of the hours.
	first, last := from.UTC().Truncate(time.Hour).Add(time.Hour), to.UTC().Add(time.Hour-1).Truncate(time.Hour)
	return "/v1/forecast?latitude=" + decimal(p.Lat) + "&longitude=" + decimal(p.Lon) +
		"&hourly=precipitation,rain,showers,snowfall,weather_code&timeformat=unixtime&timezone=UTC" +
		"&start_date=" + first.Format(dateLayout) + "&end_date=" + last.Format(dateLayout)
}

func (openMeteo) read(body []byte) ([]span, bool) {
	var a openMeteoAnswer
	if json.Unmarshal(body, &a) != nil {
		return nil, false
	}
	h := &a.Hourly
	series := [...][]*float64{h.Precipitation, h.Rain, h.Showers, h.Snowfall, h.Code}
	for _, values := range series {
		if len(values) != len(h.Time) || slices.ContainsFunc(values, func(v *float64) bool { return v != nil && !plausible(*v) }) {
			return nil, false
		}
	}
	spans := make([]span, 0, len(h.Time))
	for i, end := range h.Time {
		if end != h.Time[0]+int64(i)*3600 || end%3600 != 0 {
			return nil, false
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
		s := span{start: end - 3600, end: end, known: known, mm: v[0]}
		s.nameByAmounts(v[1]+v[2], v[3], int(v[4]))
		spans = append(spans, s)
	}
	return spans, true
}

// nameByAmounts names what fell: liquid in mm, frozen in cm of snow, code the
// WMO weather code. Hail (96, 99) is not sleet.
func (s *span) nameByAmounts(liquid, frozen float64, code int) {
	if liquid > 0 && frozen > 0 && code != 96 && code != 99 {
		s.name(sleet, fmt.Sprintf("rain %v mm and snow %v cm", round(liquid), frozen))
		return
	}
	s.name(kindOfWMO(code), fmt.Sprintf("weather code %d and %v mm", code, s.mm))
}

// kindOfWMO maps the WMO codes Open-Meteo emits. A thunderstorm with hail (96,
// 99) is none of the types.
func kindOfWMO(code int) string {
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
