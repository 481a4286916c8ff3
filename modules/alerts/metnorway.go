package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"spore/modules/alerts/sun"
)

// metNorway is api.met.no: no key, but a User-Agent that names the application
// and a contact, which the host sets. Hours for about two and a half days, then
// sums of six.
type metNorway struct{}

func newMetNorway(origin string) provider {
	return provider{metNorway{}, "met-norway", origin, "Weather data from MET Norway (CC BY 4.0)", ""}
}

type metNorwayAnswer struct {
	Properties struct {
		Timeseries []struct {
			Time time.Time `json:"time"`
			Data struct {
				Hour *metNorwayPeriod `json:"next_1_hours"`
				Six  *metNorwayPeriod `json:"next_6_hours"`
			} `json:"data"`
		} `json:"timeseries"`
	} `json:"properties"`
}

// metNorwayPeriod is the time AFTER its entry's.
type metNorwayPeriod struct {
	Summary struct {
		Symbol string `json:"symbol_code"`
	} `json:"summary"`
	Details struct {
		Amount *float64 `json:"precipitation_amount"`
	} `json:"details"`
}

// question rounds to four decimals, of which the service refuses more.
func (metNorway) question(p sun.Place, _, _ time.Time, _ string) string {
	four := func(x float64) string { return decimal(math.Round(x*1e4)/1e4 + 0) } // + 0: no minus before a zero
	return "/weatherapi/locationforecast/2.0/compact?lat=" + four(p.Lat) + "&lon=" + four(p.Lon)
}

func (metNorway) read(body []byte) ([]span, bool) {
	var a metNorwayAnswer
	if json.Unmarshal(body, &a) != nil {
		return nil, false
	}
	var spans []span
	for _, e := range a.Properties.Timeseries {
		s := span{start: e.Time.Unix()}
		if n := len(spans); n > 0 && s.start < spans[n-1].end {
			if e.Data.Hour != nil || s.start <= spans[n-1].start {
				return nil, false // it says an hour twice, or goes back in time
			}
			continue // hours inside a sum of six that have no amount of their own
		}
		period := e.Data.Hour
		s.end = s.start + 3600
		if period == nil {
			period, s.end = e.Data.Six, s.start+6*3600
		}
		if period == nil {
			continue // the last entries have neither
		}
		if !s.fill(period) {
			return nil, false
		}
		spans = append(spans, s)
	}
	return spans, true
}

// fill reports false for an amount that cannot be.
func (s *span) fill(p *metNorwayPeriod) bool {
	amount, symbol := p.Details.Amount, p.Summary.Symbol
	if amount == nil || symbol == "" {
		return true // not known
	}
	s.known, s.mm = true, *amount
	s.name(kindOfSymbol(symbol), fmt.Sprintf("symbol %s and %v mm", symbol, s.mm))
	return plausible(*amount)
}

// kindOfSymbol reads a symbol code: [light|heavy] rain|sleet|snow [showers]
// [andthunder] [_day|_night|_polartwilight].
func kindOfSymbol(symbol string) string {
	for _, kind := range [...]string{sleet, snow, rain} {
		if strings.Contains(symbol, kind) {
			return kind
		}
	}
	return none
}
