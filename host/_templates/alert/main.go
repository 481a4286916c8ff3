// NAME decides whether an alert is due: it asks a weather service what it is like
// at a place, and answers yes or no with its reasons. It sends nothing itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/typed"
)

// weatherURL comes from functions.toml. It is read once, at deploy.
var weatherURL = os.Getenv("WEATHER_URL")

func main() { typed.Start(decide) }

// Place is a request: where, and from where on it is too much. A nil field was
// missing: with 0 in its place a typing error would be an alert.
type Place struct {
	Lat      *float64 `json:"lat"`
	Lon      *float64 `json:"lon"`
	MaxGusts *float64 `json:"max_gusts"` // km/h
	MinTemp  *float64 `json:"min_temp"`  // °C
}

func (p Place) check() error {
	switch {
	case p.Lat == nil || p.Lon == nil || p.MaxGusts == nil || p.MinTemp == nil:
		return &typed.Error{Status: 422, Code: "missing", Message: "lat, lon, max_gusts and min_temp are all needed"}
	case *p.Lat < -90 || *p.Lat > 90 || *p.Lon < -180 || *p.Lon > 180:
		return &typed.Error{Status: 422, Code: "bad_place", Message: "lat is -90 to 90, lon -180 to 180"}
	}
	return nil
}

// Verdict is the answer. There is a reason for every condition, whichever way it went.
type Verdict struct {
	Alert   bool     `json:"alert"`
	Reasons []string `json:"reasons"`
}

const levelError = 8 // log/slog's

func decide(ctx context.Context, p Place) (Verdict, error) {
	if err := p.check(); err != nil {
		return Verdict{}, err
	}
	w, err := ask(ctx, p)
	if err != nil {
		// Not knowing is no reason for an alert, and none to hide: the log has the cause.
		guest.Log(levelError, "the weather service has no answer", "error", err.Error())
		return Verdict{Reasons: []string{"the weather is not known"}}, nil
	}
	windy, cold := *w.Gusts > *p.MaxGusts, *w.Temp < *p.MinTemp
	return Verdict{windy || cold, []string{
		fmt.Sprintf("gusts of %g km/h are %s %g", *w.Gusts, either(windy, "over", "not over"), *p.MaxGusts),
		fmt.Sprintf("%g °C are %s %g", *w.Temp, either(cold, "under", "not under"), *p.MinTemp),
	}}, nil
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// weather is what the service says. A nil field was missing.
type weather struct {
	Gusts *float64 `json:"wind_gusts_10m"`
	Temp  *float64 `json:"temperature_2m"`
}

// ask calls the service. functions.toml has to grant its origin under http.
func ask(ctx context.Context, p Place) (weather, error) {
	url := fmt.Sprintf("%s/v1/forecast?latitude=%g&longitude=%g&current=wind_gusts_10m,temperature_2m", weatherURL, *p.Lat, *p.Lon)
	res, err := fetch.Get(ctx, url)
	if err != nil {
		return weather{}, err
	}
	if res.Status != 200 {
		return weather{}, fmt.Errorf("status %d", res.Status)
	}
	var answer struct {
		Current weather `json:"current"`
	}
	if err := json.Unmarshal(res.Body, &answer); err != nil {
		return weather{}, err
	}
	if answer.Current.Gusts == nil || answer.Current.Temp == nil {
		return weather{}, errors.New("a value is missing")
	}
	return answer.Current, nil
}
