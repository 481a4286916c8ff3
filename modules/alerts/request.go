package main

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"spore/modules/alerts/sun"
)

// request is a checked request: an alert to judge, a day to describe, or a run.
type request struct {
	alert *alert
	day   *dayRequest
	run   *runRequest
}

type alert struct {
	id, nickname string
	place        placeRequest
	conditions   []condition
	definitions  sun.Definitions
	now          time.Time
	horizon      time.Duration
}

// placeRequest is a point, or a query for the geocoder. With a point the query
// is only a label. zone is nil when the request names none.
type placeRequest struct {
	query string
	point *sun.Place
	zone  *time.Location
}

type dayRequest struct {
	place       placeRequest
	from, to    time.Time // local midnights
	date        string
	definitions sun.Definitions
}

const (
	maxConditions  = 8
	defaultHorizon = 48   // hours
	maxHorizon     = 168  // hours
	firstYear      = 1900 // the sun's formulas and delta T hold
	lastYear       = 2099 // from the first to the last
	dateLayout     = "2006-01-02"
)

// readRequest checks a whole request. With any problem the request is nil. now
// is used when an alert names no time.
func readRequest(fields map[string]any, now time.Time) (*request, []problem) {
	r := &reader{}
	var req request
	_, isAlert := fields["alert"]
	_, isDay := fields["sun"]
	_, isRun := fields["run"]
	switch {
	case isRun && (isAlert || isDay):
		r.report("run", "a run is asked for alone: remove the rest")
	case isRun:
		req.run = r.run(r.object("", fields, "run"), now)
	case isAlert && isDay:
		r.report("sun", "an alert and a day cannot be asked for at once: remove one")
	case isAlert:
		req.alert = r.alert(r.object("", fields, "alert", "now", "horizon_hours", "definitions"), now)
	case isDay:
		req.day = r.day(r.object("", fields, "sun", "definitions"))
	default:
		r.object("", fields, "alert", "sun", "run", "now", "horizon_hours", "definitions")
		r.report("alert", "missing: ask for an alert, for a day of the sun or for a run", "alert", "sun", "run")
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return &req, nil
}

func (r *reader) alert(top object, now time.Time) *alert {
	o := r.object("alert", top.fields["alert"], "id", "nickname", "place", "conditions", "definitions")
	a := &alert{
		id:          o.text("id", 1, 200),
		nickname:    o.text("nickname", 0, 200),
		definitions: r.definitions(top, o),
		now:         now.UTC().Truncate(time.Second),
		horizon:     defaultHorizon * time.Hour,
	}
	if o.need("place") {
		p := r.object("alert.place", o.fields["place"], "query", "lat", "lon", "tz")
		a.place = r.place(p)
		if p.fields != nil && a.place.query == "" && !p.has("query") && !p.has("lat") && !p.has("lon") {
			r.report("alert.place", "needs a query, or lat and lon")
		}
	}
	for i, v := range o.list("conditions", 1, maxConditions) {
		a.conditions = append(a.conditions, r.condition(fmt.Sprintf("alert.conditions[%d]", i), v))
	}
	r.atMostOne(a.conditions, kindSun)
	r.atMostOne(a.conditions, kindNight)
	r.commonDay(a.conditions)
	if top.has("now") {
		a.now = top.instant("now")
	}
	if top.has("horizon_hours") {
		a.horizon = time.Duration(top.integer("horizon_hours", 1, maxHorizon)) * time.Hour
	}
	return a
}

// instant returns a time in UTC, whole seconds.
func (o object) instant(name string) time.Time {
	s, _ := o.fields[name].(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.UTC().Year() < firstYear || t.UTC().Year() > lastYear {
		o.report(o.at(name), fmt.Sprintf("must be an RFC 3339 time such as 2026-01-17T12:00:00Z, in the years %d to %d", firstYear, lastYear))
	}
	return t.UTC().Truncate(time.Second)
}

func (r *reader) atMostOne(conditions []condition, kind string) {
	seen := false
	for i, c := range conditions {
		if c.kind == kind && seen {
			r.report(fmt.Sprintf("alert.conditions[%d]", i), "at most one condition of type "+kind)
		}
		seen = seen || c.kind == kind
	}
}

// commonDay refuses conditions that no day can satisfy: an alert that never
// fires is as much a mistake as one that always does.
func (r *reader) commonDay(conditions []condition) {
	var common []string
	for i, c := range conditions {
		switch {
		case c.kind != kindWeekday || len(c.values) == 0:
			continue
		case common == nil:
			common = slices.Clone(c.values)
			continue
		}
		common = slices.DeleteFunc(common, func(day string) bool { return !slices.Contains(c.values, day) })
		if len(common) == 0 {
			r.report(fmt.Sprintf("alert.conditions[%d].values", i), "no day in common with the day_of_week conditions before it")
			return
		}
	}
}

func (r *reader) day(top object) *dayRequest {
	o := r.object("sun", top.fields["sun"], "lat", "lon", "tz", "date", "definitions")
	d := &dayRequest{definitions: r.definitions(top, o), place: r.place(o)}
	if o.fields != nil && !o.has("lat") && !o.has("lon") {
		r.report("sun.lat", "missing")
		r.report("sun.lon", "missing")
	}
	if !o.need("date") {
		return d
	}
	s, _ := o.fields["date"].(string)
	date, err := time.Parse(dateLayout, s)
	if err != nil || date.Year() < firstYear || date.Year() > lastYear {
		r.report("sun.date", fmt.Sprintf("must be a date such as 2026-11-22, in the years %d to %d", firstYear, lastYear))
		return d
	}
	d.date, d.from, d.to = s, dayStart(date, d.place.zoneOrUTC()), dayStart(date.AddDate(0, 0, 1), d.place.zoneOrUTC())
	if !d.from.Before(d.to) {
		r.report("sun.date", "the time zone skipped this day")
	}
	return d
}

// place reads the fields of a place. Latitude and longitude go together.
func (r *reader) place(o object) placeRequest {
	p := placeRequest{query: o.text("query", 1, 200)}
	if o.has("lat") || o.has("lon") {
		p.point = &sun.Place{}
	} else if name, _ := splitQuery(p.query); p.query != "" && utf8.RuneCountInString(name) < 2 {
		r.report(o.at("query"), "needs a name of two characters or more before the first comma")
	}
	if p.point != nil && o.need("lat") {
		p.point.Lat = o.number("lat", -90, 90)
	}
	if p.point != nil && o.need("lon") {
		p.point.Lon = o.number("lon", -180, 180)
	}
	if o.has("tz") {
		name, _ := o.fields["tz"].(string)
		zone, err := loadZone(name)
		if err != nil {
			r.report(o.at("tz"), "unknown time zone: use an IANA name such as Europe/Amsterdam")
		}
		p.zone = zone
	}
	return p
}

func (p *placeRequest) zoneOrUTC() *time.Location {
	if p.zone == nil {
		return time.UTC
	}
	return p.zone
}

// definitions may stand beside the alert or the day, or inside it.
func (r *reader) definitions(top, inner object) sun.Definitions {
	d := sun.Standard()
	at := inner
	switch {
	case top.has("definitions") && inner.has("definitions"):
		r.report(inner.at("definitions"), "given twice")
		return d
	case top.has("definitions"):
		at = top
	case !inner.has("definitions"):
		return d
	}
	o := r.object(at.at("definitions"), at.fields["definitions"], "golden", "blue")
	o.band("golden", &d.Golden)
	o.band("blue", &d.Blue)
	return d
}

func (o object) band(name string, b *[2]float64) {
	if !o.has(name) {
		return
	}
	path := o.at(name)
	l, ok := o.fields[name].([]any)
	if !ok || len(l) != 2 {
		o.report(path, "must be [low, high] in degrees")
		return
	}
	before := len(o.problems)
	low, high := o.numberAt(path+"[0]", l[0], -18, 30), o.numberAt(path+"[1]", l[1], -18, 30)
	if len(o.problems) == before && low >= high {
		o.report(path, "low must be under high")
	}
	*b = [2]float64{low, high}
}
