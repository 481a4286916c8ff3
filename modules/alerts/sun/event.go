package sun

import (
	"cmp"
	"slices"
	"time"
)

// State says whether an event happens in a span of time.
type State string

// The states. AlwaysUp and AlwaysDown: the sun stays over or under the event's
// elevation. None: it crosses that elevation, but not in the event's direction,
// or a transit falls outside the span.
const (
	OK         State = "ok"
	AlwaysUp   State = "always_up"
	AlwaysDown State = "always_down"
	None       State = "none"
)

// Event is one event of a day. Time is set when State is OK.
type Event struct {
	Name  string
	State State
	Time  time.Time
}

// The names that have a meaning of their own to callers.
const (
	Noon             = "solar_noon"
	Midnight         = "solar_midnight"
	Sunrise          = "sunrise"
	Sunset           = "sunset"
	CivilDawn        = "civil_dawn"
	CivilDusk        = "civil_dusk"
	NauticalDawn     = "nautical_dawn"
	NauticalDusk     = "nautical_dusk"
	AstronomicalDawn = "astronomical_dawn"
	AstronomicalDusk = "astronomical_dusk"
)

// kind is a named crossing of an elevation, or a transit.
type kind struct {
	name      string
	elevation float64
	rising    bool
	transit   bool // rising: the upper one
}

// kinds lists every event, in the order in which a common day has them.
func kinds(d Definitions) []kind {
	return []kind{
		{name: Midnight, transit: true},
		{name: AstronomicalDawn, elevation: -18, rising: true},
		{name: NauticalDawn, elevation: -12, rising: true},
		{name: CivilDawn, elevation: -6, rising: true},
		{name: "blue_hour_morning_start", elevation: d.Blue[0], rising: true},
		{name: "blue_hour_morning_end", elevation: d.Blue[1], rising: true},
		{name: "golden_hour_morning_start", elevation: d.Golden[0], rising: true},
		{name: Sunrise, elevation: horizon, rising: true},
		{name: "golden_hour_morning_end", elevation: d.Golden[1], rising: true},
		{name: Noon, transit: true, rising: true},
		{name: "golden_hour_evening_start", elevation: d.Golden[1]},
		{name: Sunset, elevation: horizon},
		{name: "golden_hour_evening_end", elevation: d.Golden[0]},
		{name: "blue_hour_evening_start", elevation: d.Blue[1]},
		{name: "blue_hour_evening_end", elevation: d.Blue[0]},
		{name: CivilDusk, elevation: -6},
		{name: NauticalDusk, elevation: -12},
		{name: AstronomicalDusk, elevation: -18},
	}
}

// horizon is the elevation of sunrise and sunset: 34' of refraction and 16' of
// semidiameter (USNO, Rise, Set, and Twilight Definitions).
const horizon = -0.8333

// Events returns every event from from to to, which is one local day as a rule.
// Those with a time come first, in order of time; an event that does not happen
// has one entry with its state, one that happens twice has two.
func (p Place) Events(d Definitions, from, to time.Time) []Event {
	type moment struct {
		t    float64
		kind int
	}
	c := newCurve(newSky(p), seconds(from), seconds(to))
	all := kinds(d)
	moments, missing := make([]moment, 0, len(all)), []Event(nil)
	for i, k := range all {
		times := c.times(k)
		for _, t := range times {
			moments = append(moments, moment{t, i})
		}
		if len(times) == 0 {
			missing = append(missing, Event{Name: k.name, State: c.absence(k)})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(a.t, b.t) })
	events := make([]Event, 0, len(moments)+len(missing))
	for _, m := range moments {
		events = append(events, Event{all[m.kind].name, OK, instant(m.t)})
	}
	return append(events, missing...)
}

// Times returns the instants of the named event, under the standard
// definitions, from from to to. It panics when there is no such event.
func (p Place) Times(name string, from, to time.Time) []time.Time {
	all := kinds(Standard())
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	c := newCurve(newSky(p), seconds(from), seconds(to))
	var times []time.Time
	for _, t := range c.times(all[i]) {
		times = append(times, instant(t))
	}
	return times
}

// Threshold returns the elevation of the named crossing under the standard
// definitions, and false for a transit. It panics when there is no such event.
func Threshold(name string) (elevation float64, ok bool) {
	all := kinds(Standard())
	k := all[slices.IndexFunc(all, func(k kind) bool { return k.name == name })]
	return k.elevation, !k.transit
}

func (c *curve) times(k kind) []float64 {
	if k.transit {
		return c.sky.transits(k.rising, c.from, c.to)
	}
	return c.crossings(sine(k.elevation), k.rising)
}

// absence says why the span does not hold an event of kind k.
func (c *curve) absence(k kind) State {
	level := sine(k.elevation)
	switch {
	case k.transit, len(c.crossings(level, !k.rising)) > 0:
		return None
	case c.sky.height(c.from) > level:
		return AlwaysUp
	}
	return AlwaysDown
}
