package main

import (
	"fmt"
	"time"

	"spore/modules/alerts/sun"
)

// named connects a condition's value with an event of package sun.
type named struct{ value, event string }

// instants lists the values whose window is an instant and some minutes around it.
func instants() []named {
	return []named{
		{"noon", sun.Noon}, {"sunrise", sun.Sunrise}, {"sunset", sun.Sunset},
		{"civil_dawn", sun.CivilDawn}, {"civil_dusk", sun.CivilDusk},
		{"nautical_dawn", sun.NauticalDawn}, {"nautical_dusk", sun.NauticalDusk},
		{"astronomical_dawn", sun.AstronomicalDawn}, {"astronomical_dusk", sun.AstronomicalDusk},
	}
}

func sunValues() []string {
	return []string{"noon", "sunrise", "sunset",
		"morning_golden_hour", "morning_blue_hour", "evening_golden_hour", "evening_blue_hour"}
}

func nightValues() []string {
	return []string{"civil_dawn", "civil_dusk", "nautical_dawn", "nautical_dusk", "astronomical_dawn", "astronomical_dusk",
		"civil_twilight", "nautical_twilight", "astronomical_twilight", "night"}
}

// light is a sun or night condition made ready for one place.
type light struct {
	place sun.Place
	value string

	event  string // an instant of package sun, or
	around time.Duration

	band    sun.Band // a band, of which half may be meant
	morning bool     // band.Cut: the morning windows, else those of the evening
}

func newLight(place sun.Place, d sun.Definitions, c *condition) *light {
	l := &light{place: place, value: c.value, around: c.around}
	for _, i := range instants() {
		if i.value == c.value {
			l.event = i.event
			return l
		}
	}
	switch c.value {
	case "morning_golden_hour", "evening_golden_hour":
		l.band = sun.Band{Low: d.Golden[0], High: d.Golden[1], Cut: true}
	case "morning_blue_hour", "evening_blue_hour":
		l.band = sun.Band{Low: d.Blue[0], High: d.Blue[1], Cut: true}
	case "civil_twilight":
		l.band = sun.Civil()
	case "nautical_twilight":
		l.band = sun.Nautical()
	case "astronomical_twilight":
		l.band = sun.Astronomical()
	case "night":
		l.band = sun.Night()
	}
	l.morning = c.value == "morning_golden_hour" || c.value == "morning_blue_hour"
	return l
}

// windows returns the condition's windows that overlap the time from from to to.
func (l *light) windows(from, to time.Time) []window {
	if l.event != "" {
		return l.aroundInstants(from, to)
	}
	var found []window
	for _, w := range l.place.Windows(l.band, from, to) {
		if !l.band.Cut || w.Rising == l.morning {
			found = append(found, window{w.Start, w.End})
		}
	}
	return found
}

func (l *light) aroundInstants(from, to time.Time) []window {
	var found []window
	for _, t := range l.place.Times(l.event, from.Add(-l.around), to.Add(l.around)) {
		w := window{t.Add(-l.around), t.Add(l.around)}
		if w.end.After(from) && w.start.Before(to) {
			found = append(found, w)
		}
	}
	return found
}

// outOf returns by how many degrees the sun misses l when it stays between lowest
// and highest: nil when it does not miss by its height, but by its direction or
// by coming too late, and for noon.
func (l *light) outOf(lowest, highest float64) *float64 {
	low, high := l.band.Low, l.band.High
	if l.event != "" {
		threshold, ok := sun.Threshold(l.event)
		if !ok {
			return nil
		}
		low, high = threshold, threshold
	}
	by := round(max(lowest-high, low-highest))
	if by <= 0 {
		return nil
	}
	return &by
}

// detail says in words what the condition means.
func (l *light) detail() string {
	switch {
	case l.event != "":
		return fmt.Sprintf("%d minutes on either side of %s", int(l.around.Minutes()), l.value)
	case !l.band.Cut && l.value == "night":
		return fmt.Sprintf("sun under %v degrees", l.band.High)
	case !l.band.Cut:
		return fmt.Sprintf("sun between %v and %v degrees", l.band.High, l.band.Low)
	case l.morning:
		return fmt.Sprintf("sun between %v and %v degrees, going up", l.band.Low, l.band.High)
	}
	return fmt.Sprintf("sun between %v and %v degrees, going down", l.band.High, l.band.Low)
}
