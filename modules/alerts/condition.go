package main

import (
	"slices"
	"strings"
	"time"
)

// condition is one condition of an alert. Which fields are set depends on kind.
type condition struct {
	kind   string
	value  string        // sun, night
	around time.Duration // sun, night: on either side of an instant
	values []string      // day_of_week, precipitation_type
	per    string        // precipitation_amount: "hour" or "day"
	min    *float64      // precipitation_amount, mm
	max    *float64      // precipitation_amount, mm
}

// The kinds of conditions.
const (
	kindSun     = "sun"
	kindNight   = "night"
	kindWeekday = "day_of_week"
	kindType    = "precipitation_type"
	kindAmount  = "precipitation_amount"
)

const (
	defaultAround = 15    // minutes on either side of an instant
	maxAround     = 180   // minutes
	maxMM         = 10000 // more than ever fell in a day
)

// weekday returns the three letters requests and answers use.
func weekday(t time.Time) string {
	return strings.ToLower(t.Weekday().String()[:3])
}

func (r *reader) condition(path string, v any) condition {
	fields, ok := v.(map[string]any)
	if !ok {
		r.report(path, "must be an object")
		return condition{}
	}
	kinds := []string{kindSun, kindNight, kindWeekday, kindType, kindAmount}
	o := object{r, path, fields}
	c := condition{kind: o.choice("type", "condition type", kinds)}
	switch c.kind {
	case kindSun:
		r.object(path, v, "type", "value", "window_minutes")
		c.value, c.around = o.light("sun value", sunValues())
	case kindNight:
		r.object(path, v, "type", "value", "window_minutes")
		c.value, c.around = o.light("night value", nightValues())
	case kindWeekday:
		r.object(path, v, "type", "values")
		c.values = o.choices("values", "day", []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
	case kindType:
		r.object(path, v, "type", "values")
		c.values = o.choices("values", "precipitation type", []string{rain, sleet, snow, none})
	case kindAmount:
		r.object(path, v, "type", "per", "min_mm", "max_mm")
		o.amount(&c)
	}
	return c
}

// light reads the value of a sun or night condition, and the time around it if
// it is an instant.
func (o object) light(what string, allowed []string) (value string, around time.Duration) {
	value = o.choice("value", what, allowed)
	minutes := defaultAround
	if o.has("window_minutes") {
		minutes = o.integer("window_minutes", 1, maxAround)
		if value != "" && !slices.ContainsFunc(instants(), func(i named) bool { return i.value == value }) {
			o.report(o.at("window_minutes"), "only for instants: "+value+" has a beginning and an end of its own")
		}
	}
	return value, time.Duration(minutes) * time.Minute
}

func (o object) amount(c *condition) {
	c.per = "hour"
	if o.has("per") {
		c.per = o.choice("per", "period", []string{"hour", "day"})
	}
	c.min, c.max = o.millimetres("min_mm"), o.millimetres("max_mm")
	switch {
	case !o.has("min_mm") && !o.has("max_mm"):
		o.report(o.path, "needs min_mm, max_mm or both")
	case c.min != nil && c.max != nil && *c.min > *c.max:
		o.report(o.at("min_mm"), "must not be over max_mm")
	}
}

func (o object) millimetres(name string) *float64 {
	if !o.has(name) {
		return nil
	}
	before := len(o.problems)
	mm := o.number(name, 0, maxMM)
	if len(o.problems) > before {
		return nil
	}
	return &mm
}
