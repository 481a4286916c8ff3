package main

import (
	"slices"
	"time"
)

// judgeAll judges every condition over one window.
func (e *evaluation) judgeAll(w window) []verdict {
	results := make([]verdict, len(e.conditions))
	for i := range e.conditions {
		if e.conditions[i].isWeather() {
			results[i] = e.judgeWeather(i, w)
		} else {
			results[i] = e.judgeComputed(i, &w)
		}
	}
	return results
}

func (e *evaluation) unknown(i int, reason string) verdict {
	c := &e.conditions[i]
	return verdict{Type: c.kind, Value: c.value, Result: unknown, Reason: reason}
}

// judgeComputed judges a condition that needs no service. w is nil when there
// is no window at all; then the sun or night condition at fault does not match.
func (e *evaluation) judgeComputed(i int, w *window) verdict {
	c := &e.conditions[i]
	v := verdict{Type: c.kind, Value: c.value, Result: match}
	switch {
	case c.isWeather():
		return e.unknown(i, reasonNotChecked)
	case c.kind != kindWeekday:
		l := e.lightOf(c)
		v.Detail = l.detail()
		if w == nil && e.atFault(l) {
			v.Result = noMatch
		}
	case w == nil:
		return e.unknown(i, reasonNoWindow)
	default:
		day := weekday(w.start.In(e.place.zone))
		v.Observed = day
		if !slices.Contains(c.values, day) {
			v.Result = noMatch
		}
	}
	return v
}

func (e *evaluation) lightOf(c *condition) *light {
	return newLight(e.place.point, e.definitions, c)
}

// atFault reports whether l is why there is no window: it has none inside the
// horizon, or both lights have some, they never meet, and l is the second.
func (e *evaluation) atFault(l *light) bool {
	end := e.now.Add(e.horizon)
	second := len(e.plan.lights) == 2 && e.plan.lights[1].value == l.value
	return len(l.windows(e.now, end)) == 0 || second && len(e.plan.lights[0].windows(e.now, end)) > 0
}

// judgeWeather judges a precipitation condition over w.
func (e *evaluation) judgeWeather(i int, w window) verdict {
	c := &e.conditions[i]
	if c.kind == kindAmount && c.per == "day" {
		w = daysOver(e.place.zone, w.start, w.start.Add(time.Second))[0]
	}
	v := verdict{Type: c.kind, Result: noMatch, Source: e.weather.call.source()}
	if c.kind == kindAmount {
		v.Wanted = &amount{c.per, c.min, c.max}
	}
	parts, reason := e.weather.during(w)
	switch {
	case reason != "":
		v.Result, v.Reason, v.RetryAfter = unknown, reason, e.weather.call.RetryAfter
	case c.kind == kindType:
		v.judgeTypes(c, parts)
	default:
		v.judgeAmount(c, parts)
	}
	return v
}

// judgeTypes matches when one of the wanted types occurs in the window. A window
// has the type none only when all of its hours do.
func (v *verdict) judgeTypes(c *condition, parts []part) {
	observed := kindsIn(parts)
	shown := observed[0]
	for _, kind := range observed {
		if slices.Contains(c.values, kind) {
			shown, v.Result = kind, match
			break
		}
	}
	v.Observed = observed
	v.Detail = parts[slices.IndexFunc(parts, func(p part) bool { return p.kind == shown })].detail
}

func kindsIn(parts []part) (kinds []string) {
	for _, p := range parts {
		if p.kind != none && !slices.Contains(kinds, p.kind) {
			kinds = append(kinds, p.kind)
		}
	}
	if kinds == nil {
		return []string{none}
	}
	return kinds
}

// judgeAmount compares the mean over the window, weighted by time, or the sum
// over the day.
func (v *verdict) judgeAmount(c *condition, parts []part) {
	var mm, seconds float64
	for _, p := range parts {
		mm += p.amount()
		seconds += p.seconds
	}
	if c.per == "hour" {
		mm *= 3600 / seconds
	}
	mm = round(mm)
	v.ObservedMM = &mm
	if (c.min == nil || mm >= *c.min) && (c.max == nil || mm <= *c.max) {
		v.Result = match
	}
}

// whyNot explains condition i, which does not match.
func (e *evaluation) whyNot(i int, v *verdict) whyNot {
	c := &e.conditions[i]
	why := whyNot{Condition: i, Wanted: c.values}
	var nearest *time.Time
	switch c.kind {
	case kindSun, kindNight:
		low, high := e.place.point.Extremes(e.now, e.now.Add(e.horizon))
		l := e.lightOf(c)
		why.Wanted, why.Seen, why.OffBy = c.value, elevations{round(low), round(high)}, l.outOf(low, high)
		nearest = e.nearestWindow(l.windows)
	case kindWeekday:
		why.Seen = v.Observed
		only := plan{zone: e.place.zone, weekdays: [][]string{c.values}}
		nearest = e.nearestWindow(only.windows)
	case kindType:
		why.Seen = v.Observed
		nearest = e.nearestHour(i)
	case kindAmount:
		why.Wanted, why.Seen = v.Wanted, *v.ObservedMM
		why.ShortBy, why.OverBy = v.distance(c)
		nearest = e.nearestHour(i)
	}
	if nearest != nil {
		s := stamp(*nearest)
		why.Nearest = &s
	}
	return why
}

// elevations are what the sun does inside the horizon, in degrees.
type elevations struct {
	Lowest  float64 `json:"sun_lowest"`
	Highest float64 `json:"sun_highest"`
}

func (v *verdict) distance(c *condition) (short, over *float64) {
	if c.min != nil && *v.ObservedMM < *c.min {
		d := round(*c.min - *v.ObservedMM)
		return &d, nil
	}
	d := round(*v.ObservedMM - *c.max)
	return nil, &d
}

func (e *evaluation) nearestWindow(search func(from, to time.Time) []window) *time.Time {
	w := firstFrom(search, e.now, e.now.Add(searchSpan))
	if w == nil {
		return nil
	}
	return &w.start
}

// nearestHour returns the beginning of the first hour of the forecast (or what
// it has in place of hours) in which weather condition i holds, or now if that
// hour has begun.
func (e *evaluation) nearestHour(i int) *time.Time {
	for _, s := range e.weather.spans {
		w := window{time.Unix(s.start, 0).UTC(), time.Unix(s.end, 0).UTC()}
		if w.end.After(e.now) && e.judgeWeather(i, w).Result == match {
			begin := later(w.start, e.now)
			return &begin
		}
	}
	return nil
}
