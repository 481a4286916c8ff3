// Alerts answers two questions about light and weather at a place: what the sun
// does on a day, and whether an alert such as "evening blue hour on a weekend
// while it snows" is to be sent. The sun is computed in package sun, the weather
// comes from one of three services. README.md describes requests and answers.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
)

func main() {
	weather, err := chosen(os.Getenv("WEATHER_SERVICE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err) // the deploy fails with this text
		os.Exit(2)
	}
	s := &service{
		weather:      weather,
		geocodingURL: env("OPEN_METEO_GEOCODING_URL", "https://geocoding-api.open-meteo.com"),
		fetch:        get,
		secret:       secret.Get,
		now:          time.Now,
	}
	guest.Warm(func() { warm(weather) })
	guest.Start(s.handle)
}

// chosen returns the weather service of that name, the first one for none.
func chosen(name string) (provider, error) {
	var names []string
	for _, p := range [...]provider{
		newOpenMeteo(env("OPEN_METEO_URL", "https://api.open-meteo.com")),
		newMetNorway(env("MET_NORWAY_URL", "https://api.met.no")),
		newOpenWeather(env("OPENWEATHER_URL", "https://api.openweathermap.org")),
	} {
		if name == p.name || name == "" {
			return p, nil
		}
		names = append(names, p.name)
	}
	return provider{}, fmt.Errorf("unknown WEATHER_SERVICE %q: choose one of %v", name, names)
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
