// Alerts answers two questions about light and weather at a place: what the sun
// does on a day, and whether an alert such as "evening blue hour on a weekend
// while it snows" is to be sent. The sun is computed in package sun, the weather
// comes from Open-Meteo. README.md describes requests and answers.
package main

import (
	"context"
	"os"
	"time"

	"spore/guest"
	"spore/guest/fetch"
)

func main() {
	s := &service{
		forecastURL:  env("OPEN_METEO_URL", "https://api.open-meteo.com"),
		geocodingURL: env("OPEN_METEO_GEOCODING_URL", "https://geocoding-api.open-meteo.com"),
		fetch:        get,
		now:          time.Now,
	}
	guest.Warm(warm)
	guest.Start(s.handle)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func get(ctx context.Context, url string) (int, guest.Pairs, []byte, error) {
	res, err := fetch.Get(ctx, url)
	if err != nil {
		return 0, nil, nil, err
	}
	return res.Status, res.Headers, res.Body, nil
}
