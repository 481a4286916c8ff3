package main

import (
	"context"
	_ "embed"
	"strings"
	"time"

	"spore/guest"
)

//go:embed events/day.json
var sampleDay []byte

//go:embed events/alert.json
var sampleAlert []byte

// Answers of the shape the services give, enough for the decoders to see every
// field once.
const (
	samplePlace = `{"results":[{"name":"Haarlem","latitude":52.38,"longitude":4.64,"country_code":"NL",` +
		`"country":"Netherlands","admin1":"North Holland","timezone":"Europe/Amsterdam","population":147590}]}`
	sampleOpenMeteo = `{"hourly":{"time":[1768669200],"precipitation":[0.9],"rain":[0.4],"showers":[0],` +
		`"snowfall":[0.35],"weather_code":[71]}}`
	sampleMetNorway = `{"properties":{"timeseries":[{"time":"2026-01-17T16:00:00Z","data":{"next_1_hours":` +
		`{"summary":{"symbol_code":"sleet"},"details":{"precipitation_amount":0.9}}}}]}}`
	sampleOpenWeather = `{"hourly":[{"dt":1768665600,"rain":{"1h":0.4},"snow":{"1h":0.5},"weather":[{"id":616}]}]}`
)

// warm answers the sample events once, with canned answers instead of calls,
// before the host takes the snapshot every request begins from: encoding/json
// builds its encoders and decoders at the first use of each type, which costs
// several times the rest of a request. It is code and not warmup in functions.toml
// because the calls' URLs name the day, and no recording has tomorrow's.
func warm(weather provider) {
	s := rehearsal(weather)
	for _, body := range [][]byte{sampleDay, sampleAlert, []byte(`{}`)} {
		_, _ = s.handle(context.Background(), guest.Event{Body: body})
	}
}

// rehearsal is a service with canned answers. Its clock stands at noon (UTC) of
// 2026-01-17; the blue hour that follows is in the samples.
func rehearsal(weather provider) *service {
	weather.origin = ""
	return &service{
		weather: weather, fetch: canned,
		secret: func(string) (string, error) { return "rehearsal", nil },
		now:    func() time.Time { return time.Unix(1768651200, 0) },
	}
}

func canned(_ context.Context, url string, _ guest.Pairs) (int, guest.Pairs, []byte, error) {
	for path, answer := range map[string]string{
		"/v1/search":   samplePlace,
		"/v1/forecast": sampleOpenMeteo,
		"/weatherapi/": sampleMetNorway,
		"/data/3.0/":   sampleOpenWeather,
	} {
		if strings.HasPrefix(url, path) {
			return 200, nil, []byte(answer), nil
		}
	}
	return 404, nil, nil, nil
}
