package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"spore/modules/alerts/sun"
)

// place is where an alert is judged, as answers show it.
type place struct {
	Label        string   `json:"label,omitempty"`
	Lat          *float64 `json:"lat,omitempty"` // both nil while the place is not known
	Lon          *float64 `json:"lon,omitempty"`
	TZ           string   `json:"tz,omitempty"`
	TZFrom       string   `json:"tz_from,omitempty"` // "request", "geocoder", or "default" for UTC
	Alternatives []string `json:"alternatives,omitempty"`

	point sun.Place
	zone  *time.Location
}

// fixed returns the place of a request that gives latitude and longitude.
func fixed(p *placeRequest) place {
	out := place{Label: p.query, TZFrom: "request"}
	out.put(*p.point, p.zoneOrUTC())
	if p.zone == nil {
		out.TZFrom = "default"
	}
	return out
}

func (p *place) put(point sun.Place, zone *time.Location) {
	p.point, p.Lat, p.Lon = point, &point.Lat, &point.Lon
	p.zone, p.TZ = zone, zone.String()
}

// geocoded is one result of Open-Meteo's geocoding service.
type geocoded struct {
	Name        string  `json:"name"`
	Latitude    float64 `json:"latitude"`
	Longitude   float64 `json:"longitude"`
	CountryCode string  `json:"country_code"`
	Country     string  `json:"country"`
	Admin1      string  `json:"admin1"`
	Admin2      string  `json:"admin2"`
	Admin3      string  `json:"admin3"`
	Admin4      string  `json:"admin4"`
	Timezone    string  `json:"timezone"`
	Population  int64   `json:"population"`
}

// errNoPlace: the geocoder knows no such place.
var errNoPlace = errors.New("place not found")

// geocode looks a query up. With a nil place and no reason in the call, nothing
// was found. A time zone in the request wins over the geocoder's.
func (s *service) geocode(ctx context.Context, p *placeRequest) (*place, call) {
	name, parts := splitQuery(p.query)
	var answer struct {
		Results []geocoded `json:"results"`
	}
	c := s.get(ctx, serviceGeocoding, s.geocodingURL+"/v1/search?"+geocodingQuery(name, parts), func(body []byte) bool {
		return json.Unmarshal(body, &answer) == nil
	})
	if c.Reason != "" {
		return nil, c
	}
	results := rank(name, slices.DeleteFunc(answer.Results, func(g geocoded) bool { return !g.isIn(parts) }))
	if len(results) == 0 {
		return nil, c
	}
	out := &place{Label: results[0].label()}
	if !out.locate(&results[0], p.zone) {
		c.Reason = reasonBadAnswer
		return nil, c
	}
	const alternatives = 3
	for _, g := range results[1:min(len(results), 1+alternatives)] {
		out.Alternatives = append(out.Alternatives, g.label())
	}
	return out, c
}

// locate sets point and zone, and reports false for what cannot be either.
func (p *place) locate(g *geocoded, zone *time.Location) bool {
	if !(g.Latitude >= -90 && g.Latitude <= 90 && g.Longitude >= -180 && g.Longitude <= 180) {
		return false
	}
	p.TZFrom = "request"
	if zone == nil {
		var err error
		if zone, err = loadZone(g.Timezone); err != nil {
			return false
		}
		p.TZFrom = "geocoder"
	}
	p.put(sun.Place{Lat: g.Latitude, Lon: g.Longitude}, zone)
	return true
}

// splitQuery takes "Haarlem, NL" apart: the service searches names alone.
func splitQuery(query string) (name string, parts []string) {
	parts = strings.Split(query, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts[0], parts[1:]
}

func geocodingQuery(name string, parts []string) string {
	q := "name=" + url.QueryEscape(name) + "&count=10&language=en&format=json"
	if n := len(parts); n > 0 && isCountryCode(parts[n-1]) {
		q += "&countryCode=" + parts[n-1]
	}
	return q
}

func isCountryCode(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z'
}

// isIn reports whether the place lies in everything the query named after its name.
func (g *geocoded) isIn(parts []string) bool {
	areas := []string{g.CountryCode, g.Country, g.Admin1, g.Admin2, g.Admin3, g.Admin4}
	for _, part := range parts {
		if part != "" && !slices.ContainsFunc(areas, func(a string) bool { return strings.EqualFold(a, part) }) {
			return false
		}
	}
	return true
}

// rank keeps the results of exactly that name, or all when there is none (the
// service knows places by several names), the most populous first.
func rank(name string, results []geocoded) []geocoded {
	exact := slices.Clone(results)
	exact = slices.DeleteFunc(exact, func(g geocoded) bool { return !strings.EqualFold(g.Name, name) })
	if len(exact) > 0 {
		results = exact
	}
	slices.SortStableFunc(results, func(a, b geocoded) int { return cmp.Compare(b.Population, a.Population) })
	return results
}

func (g *geocoded) label() string {
	parts := []string{g.Name, g.Admin1, g.Country}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
