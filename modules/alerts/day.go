package main

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"spore/modules/alerts/sun"
)

// describeDay answers a day request. It writes the JSON itself: with encoding/json, which
// finds its way by reflection, writing took as long as computing. No text in the answer
// needs escaping: names and states are package sun's, a zone is a name of the IANA
// database, and a date has been parsed.
func describeDay(d *dayRequest) json.RawMessage {
	const enough = 2 << 10 // a common day's answer is 1.4 KB
	p := fixed(&d.place)
	b := append(make([]byte, 0, enough), `{"events":[`...)
	for i, e := range p.point.Events(d.definitions, d.from, d.to) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"event":`...), e.Name)
		b = appendText(append(b, `,"state":`...), string(e.State))
		if e.State == sun.OK {
			b = append(b, `,"utc":"`...)
			b = append(e.Time.AppendFormat(b, time.RFC3339), '"')
		}
		b = append(b, '}')
	}
	b = appendNumber(append(b, `],"place":{"lat":`...), p.point.Lat)
	b = appendNumber(append(b, `,"lon":`...), p.point.Lon)
	b = appendText(append(b, `,"tz":`...), p.TZ)
	b = appendText(append(b, `,"tz_from":`...), p.TZFrom)
	b = appendText(append(b, `},"date":`...), d.date)
	b = appendBand(append(b, `,"definitions":{"golden":`...), d.definitions.Golden)
	b = appendBand(append(b, `,"blue":`...), d.definitions.Blue)
	b = appendText(append(b, `,"refraction":`...), refraction)
	return append(b, "}}"...)
}

func appendText(b []byte, s string) []byte {
	return append(append(append(b, '"'), s...), '"')
}

func appendNumber(b []byte, x float64) []byte {
	if x != 0 && math.Abs(x) < 1e-6 {
		return append(b, encode(x)...) // with an exponent: it may have 300 zeros
	}
	return strconv.AppendFloat(b, x, 'f', -1, 64)
}

func appendBand(b []byte, band [2]float64) []byte {
	b = appendNumber(append(b, '['), band[0])
	b = appendNumber(append(b, ','), band[1])
	return append(b, ']')
}
