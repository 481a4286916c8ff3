package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"spore/modules/alerts/sun"
)

// openWeather is the One Call API 3.0 of api.openweathermap.org: a key, hours
// for two days.
type openWeather struct{}

func newOpenWeather(origin string) provider {
	return provider{openWeather{}, "openweather", origin,
		"Weather data provided by OpenWeather (https://openweathermap.org)", "OPENWEATHER_KEY"}
}

// openWeatherAnswer's hours begin at their time. Amounts are mm of water, and
// missing when there are none.
type openWeatherAnswer struct {
	Hourly []struct {
		Time    int64             `json:"dt"`
		Rain    openWeatherAmount `json:"rain"`
		Snow    openWeatherAmount `json:"snow"`
		Weather []struct {
			ID int `json:"id"`
		} `json:"weather"`
	} `json:"hourly"`
}

type openWeatherAmount struct {
	MM float64 `json:"1h"`
}

// question carries the key in the query, as the service takes it nowhere else.
// Neither the host's log nor an answer of this function shows a call's query.
func (openWeather) question(p sun.Place, _, _ time.Time, key string) string {
	return "/data/3.0/onecall?lat=" + decimal(p.Lat) + "&lon=" + decimal(p.Lon) +
		"&exclude=current,minutely,daily,alerts&units=metric&appid=" + url.QueryEscape(key)
}

func (openWeather) read(body []byte) ([]span, bool) {
	var a openWeatherAnswer
	if json.Unmarshal(body, &a) != nil {
		return nil, false
	}
	spans := make([]span, 0, len(a.Hourly))
	for _, h := range a.Hourly {
		if !plausible(h.Rain.MM) || !plausible(h.Snow.MM) || h.Time%3600 != 0 {
			return nil, false
		}
		s := span{start: h.Time, end: h.Time + 3600, known: len(h.Weather) > 0, mm: round(h.Rain.MM + h.Snow.MM)}
		if s.known {
			id := h.Weather[0].ID // the first is the primary one
			s.name(kindOfID(id), fmt.Sprintf("weather id %d and %v mm", id, s.mm))
		}
		spans = append(spans, s)
	}
	return spans, true
}

// kindOfID maps OpenWeather's condition ids.
func kindOfID(id int) string {
	switch {
	case id == 511, 611 <= id && id <= 613, id == 615, id == 616:
		return sleet
	case 600 <= id && id <= 602, 620 <= id && id <= 622:
		return snow
	case 200 <= id && id < 400, 500 <= id && id < 600:
		return rain
	}
	return none
}
