package main

import (
	"slices"
	"time"
)

// window is a half-open stretch of time.
type window struct{ start, end time.Time }

// plan is the part of an alert that can be computed: when its light and its
// weekday hold.
type plan struct {
	lights   []*light   // none, sun, night, or both
	weekdays [][]string // each must hold the window's day
	zone     *time.Location
	hourly   bool // without lights: hours instead of days, because weather is asked for
}

// windows returns the windows in which lights and weekday hold and which
// overlap the time from from to to. The weekday is that of a window's start.
func (p *plan) windows(from, to time.Time) []window {
	return slices.DeleteFunc(p.anyDay(from, to), func(w window) bool { return !p.onDay(w) })
}

func (p *plan) onDay(w window) bool {
	day := weekday(w.start.In(p.zone))
	for _, days := range p.weekdays {
		if !slices.Contains(days, day) {
			return false
		}
	}
	return true
}

// anyDay returns the windows without regard to the weekday. Without lights that
// is each of the place's calendar days, or each hour if the weather is asked for:
// conditions hold at the same time, and an hour is the weather's shortest time.
func (p *plan) anyDay(from, to time.Time) (found []window) {
	switch {
	case len(p.lights) > 0:
		found = p.lights[0].windows(from, to)
		for _, l := range p.lights[1:] {
			found = intersect(found, l.windows(from, to))
		}
	case p.hourly:
		for t := from.Truncate(time.Hour); t.Before(to); t = t.Add(time.Hour) {
			found = append(found, window{t, t.Add(time.Hour)})
		}
	default:
		found = daysOver(p.zone, from, to)
	}
	return found
}

// intersect returns the common parts of two ordered lists of windows.
func intersect(a, b []window) (common []window) {
	for len(a) > 0 && len(b) > 0 {
		w := window{later(a[0].start, b[0].start), earlier(a[0].end, b[0].end)}
		if w.start.Before(w.end) {
			common = append(common, w)
		}
		if a[0].end.Before(b[0].end) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return common
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// searchSpan is how far ahead a next window is looked for. Polar places need
// more than a year: their one sunrise may fall on no Saturday.
const searchSpan = 400 * 24 * time.Hour

// firstFrom returns the first window of those search finds that starts at or
// after from, looking until end.
func firstFrom(search func(from, to time.Time) []window, from, end time.Time) *window {
	step := 36 * time.Hour // most windows come daily, most others weekly
	for at := from; at.Before(end); step = min(2*step, 16*24*time.Hour) {
		for _, w := range search(at, at.Add(step)) {
			if !w.start.Before(from) && w.start.Before(end) {
				return &w
			}
		}
		at = at.Add(step)
	}
	return nil
}
