package sun

import (
	"slices"
	"time"
)

// Band is a range of elevations in degrees. A Cut band's windows end at the
// transits, so that a golden hour that lasts through noon or midnight has a
// morning and an evening part; other windows go on for as long as the sun stays.
type Band struct {
	Low, High float64
	Cut       bool
}

// lowest is under every sun, so that night has no lower edge.
const lowest = -90

// Civil returns the band of civil twilight. It is geometric: it ends at 0, some
// minutes from sunrise.
func Civil() Band { return Band{Low: -6, High: 0} }

// Nautical returns the band of nautical twilight.
func Nautical() Band { return Band{Low: -12, High: -6} }

// Astronomical returns the band of astronomical twilight.
func Astronomical() Band { return Band{Low: -18, High: -12} }

// Night returns the band under astronomical twilight.
func Night() Band { return Band{Low: lowest, High: -18} }

// Window is a stretch of time in which the sun is within a band. Rising says
// which way it goes from start to end: up in the morning, down in the evening.
// Within a degree of the poles the sun climbs for half a year and windows cut at
// the transits are named by the way it really goes.
type Window struct {
	Start, End time.Time
	Rising     bool
}

// reach bounds the search for the ends of a window: no place keeps the sun in
// one band for a year.
const reach = 400 * daySeconds

// Windows returns the windows of b that overlap the time from from to to, whole
// and in order: the first may begin before from and the last end after to. They
// never overlap each other.
func (p Place) Windows(b Band, from, to time.Time) []Window {
	w := walker{newSky(p), sine(b.Low), sine(b.High), b.Cut}
	start, end := seconds(from), seconds(to)
	edges := w.edges(start, end)
	if w.inside(start) {
		edges = append([]float64{w.lastBefore(start)}, edges...)
	}
	if w.inside(end) {
		edges = append(edges, w.firstAfter(end))
	}
	var windows []Window
	for i := 1; i < len(edges); i++ {
		a, z := edges[i-1], edges[i]
		win := Window{instant(a), instant(z), w.sky.height(z) > w.sky.height(a)}
		// Rounded, an edge of the window may have left it empty or outside.
		if w.inside((a+z)/2) && win.Start.Before(win.End) && win.End.After(from) && win.Start.Before(to) {
			windows = append(windows, win)
		}
	}
	return windows
}

// walker finds the edges of one band's windows; low and high are sines.
type walker struct {
	sky       *sky
	low, high float64
	cut       bool
}

func (w *walker) inside(t float64) bool {
	h := w.sky.height(t)
	return h > w.low && h <= w.high
}

// edges returns in order the instants of [from, to) at which a window may begin or end.
func (w *walker) edges(from, to float64) []float64 {
	c := newCurve(w.sky, from, to)
	var edges []float64
	for _, level := range [...]float64{w.low, w.high} {
		edges = append(edges, c.crossings(level, true)...)
		edges = append(edges, c.crossings(level, false)...)
	}
	if w.cut {
		edges = append(edges, w.sky.transits(true, from, to)...)
		edges = append(edges, w.sky.transits(false, from, to)...)
	}
	slices.Sort(edges)
	return edges
}

func (w *walker) lastBefore(t float64) float64 {
	for from := t - daySeconds; from > t-reach; from -= daySeconds {
		if e := w.edges(from, from+daySeconds); len(e) > 0 {
			return e[len(e)-1]
		}
	}
	return t - reach
}

func (w *walker) firstAfter(t float64) float64 {
	for from := t; from < t+reach; from += daySeconds {
		if e := w.edges(from, from+daySeconds); len(e) > 0 {
			return e[0]
		}
	}
	return t + reach
}
