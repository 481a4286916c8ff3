// Alerts answers two questions about light and weather at a place: what the sun
// does on a day, and whether an alert such as "evening blue hour on a weekend
// while it snows" is to be sent; and it runs a list of alerts and sends. The sun is computed in package sun, the weather
// comes from one of three services. README.md describes requests and answers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/kv"
	"spore/guest/secret"
)

func main() {
	weather, err := chosen(os.Getenv("WEATHER_SERVICE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err) // the deploy fails with this text
		os.Exit(2)
	}
	runJSON := []byte(os.Getenv("ALERTS_RUN"))
	if err := checkRun(runJSON); err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err)
		os.Exit(2)
	}
	s := &service{
		weather:      weather,
		geocodingURL: env("OPEN_METEO_GEOCODING_URL", "https://geocoding-api.open-meteo.com"),
		fetch:        get,
		post:         postJSON,
		store:        bucket{},
		runJSON:      runJSON,
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

func get(ctx context.Context, url string, with guest.Pairs) (int, guest.Pairs, []byte, error) {
	res, err := fetch.Get(ctx, url, with...)
	if err != nil {
		return 0, nil, nil, err
	}
	return res.Status, res.Headers, res.Body, nil
}

// postJSON reads no more than the head of the answer: a body that breaks off would hide
// that the notification was taken.
func postJSON(ctx context.Context, url string, body []byte) (int, error) {
	res, err := fetch.Start(ctx, &fetch.Request{Method: "POST", URL: url, Body: body,
		Headers: guest.Pairs{{Name: "content-type", Value: "application/json"}}})
	if err != nil {
		return 0, err
	}
	return res.Status, res.Body.Close()
}

// bucket is the function's own keys.
type bucket struct{}

func (bucket) get(ctx context.Context, key string) ([]byte, int64, error) {
	e, err := kv.Get(ctx, key)
	return e.Value, e.Revision, err
}

func (bucket) put(ctx context.Context, key string, value []byte, expiry time.Duration) error {
	_, err := kv.Put(ctx, key, value, expiry)
	return err
}

func (bucket) update(ctx context.Context, key string, value []byte, revision int64, expiry time.Duration) error {
	_, err := kv.Update(ctx, key, value, revision, expiry)
	return err
}

func (bucket) forget(ctx context.Context, prefix string) error {
	keys, err := kv.List(ctx, prefix)
	for _, key := range keys {
		err = errors.Join(err, kv.Delete(ctx, key))
	}
	return err
}
