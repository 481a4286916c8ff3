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
	sampleWeather = `{"hourly":{"time":[1768669200],"precipitation":[0.9],"rain":[0.4],"showers":[0],` +
		`"snowfall":[0.35],"weather_code":[71]}}`
)

// warm answers the sample events once, with canned answers instead of calls,
// before the host takes the snapshot every request begins from: encoding/json
// builds its encoders and decoders at the first use of each type, which costs
// several times the rest of a request. It is code and not warmup in functions.toml
// because the calls' URLs name the day, and no recording has tomorrow's.
func warm() {
	s := rehearsal()
	for _, body := range [][]byte{sampleDay, sampleAlert, []byte(`{}`)} {
		_, _ = s.handle(context.Background(), guest.Event{Body: body})
	}
}

// rehearsal is a service with canned answers. Its clock stands at noon (UTC) of
// 2026-01-17; the blue hour that follows is in sampleWeather.
func rehearsal() *service {
	return &service{fetch: canned, now: func() time.Time { return time.Unix(1768651200, 0) }}
}

func canned(_ context.Context, url string) (int, guest.Pairs, []byte, error) {
	if strings.HasPrefix(url, "/v1/search") {
		return 200, nil, []byte(samplePlace), nil
	}
	return 200, nil, []byte(sampleWeather), nil
}
