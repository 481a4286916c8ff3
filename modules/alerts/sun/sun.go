// Package sun computes what light a place on Earth has: the sun's elevation,
// the events of a day (sunrise, twilights, golden and blue hour, transits) and
// the windows in which the sun stands within a band of elevations.
//
// Elevations are degrees of the sun's centre over the horizon, geometric, with
// one exception: sunrise and sunset are the centre at -0.8333 degree, which is
// the upper limb on the horizon under average refraction (34' + 16'). The sun's
// place is good to about 0.002 degree between 1900 and 2100 (Meeus, Astronomical
// Algorithms, chapter 25, with the largest perturbations), which is about a second
// of time below latitude 60; the real atmosphere moves a sunrise by a minute and
// more. README.md has the sources of all formulas, and a plot of the errors.
//
// All functions are pure and safe for concurrent use. Times they return are in
// UTC and rounded to the second. Spans of time are half-open.
package sun

import (
	"math"
	"time"
)

// Place is a point on Earth in degrees, north and east positive: Lat within
// +-90, Lon within +-180.
type Place struct{ Lat, Lon float64 }

// Definitions are the bounds, in degrees, of the two terms that have no standard.
type Definitions struct {
	Golden [2]float64 `json:"golden"` // low, high
	Blue   [2]float64 `json:"blue"`   // low, high
}

// Standard returns the bounds most photographers' tools use: golden from -4 to
// 6, blue from -6 to -4.
func Standard() Definitions {
	return Definitions{Golden: [2]float64{-4, 6}, Blue: [2]float64{-6, -4}}
}

// Elevation returns the geometric elevation of the sun's centre in degrees, at
// sea level: parallax is taken off, refraction is not added.
func (p Place) Elevation(t time.Time) float64 {
	return degrees(newSky(p).height(seconds(t)))
}

// Extremes returns the lowest and the highest elevation between from and to.
func (p Place) Extremes(from, to time.Time) (low, high float64) {
	c := newCurve(newSky(p), seconds(from), seconds(to))
	low, high = 1, -1
	for _, pt := range c.points {
		if pt.t >= c.from && pt.t < c.to {
			low, high = min(low, pt.h), max(high, pt.h)
		}
	}
	return degrees(low), degrees(high)
}

func degrees(sine float64) float64 { return math.Asin(min(max(sine, -1), 1)) / rad }

func sine(elevation float64) float64 { return math.Sin(elevation * rad) }

func seconds(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

func instant(t float64) time.Time { return time.Unix(int64(math.Round(t)), 0).UTC() }
