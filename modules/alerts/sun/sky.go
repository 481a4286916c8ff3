package sun

import "math"

// sky is the sun as seen from one place. Not safe for concurrent use.
type sky struct {
	sinLat, cosLat float64
	lon            float64 // radians, positive east
	days           [4]solarDay
}

// solarDay is the sun on one day of universal time: parabolas through the values
// at 0, 12 and 24 hours, which differ from the full computation by less than
// 0.0001 degree and cost one cosine instead of a dozen.
type solarDay struct {
	loaded           bool
	number           int64    // since 1970-01-01
	hour             parabola // local hour angle, radians, growing without bound
	sinDecl, cosDecl parabola
	end              apparent // at 24 hours, where the next day begins
}

func newSky(p Place) *sky {
	s := &sky{lon: p.Lon * rad}
	s.sinLat, s.cosLat = math.Sincos(p.Lat * rad)
	return s
}

// parabola has its coefficients in rising order; its argument is a part of a day.
type parabola [3]float64

// through returns the parabola with the given values at 0, 1/2 and 1.
func through(f0, f1, f2 float64) parabola {
	return parabola{f0, -3*f0 + 4*f1 - f2, 2*f0 - 4*f1 + 2*f2}
}

func (p *parabola) at(u float64) float64 { return p[0] + u*(p[1]+u*p[2]) }

// parallax is the angle of the Earth's radius seen from the sun (Meeus, chapter
// 40): 8.794" at the mean distance, which changes by 1.7 % over the year.
const parallax = 8.794 / 3600 * rad

// height returns the sine of the elevation of the sun's centre at Unix time t as
// an observer at sea level has it, without refraction (Meeus 13.6). Parallax
// lowers an elevation h by parallax * cos h (Meeus 40.6), its sine by that times cos h.
func (s *sky) height(t float64) float64 {
	d, u := s.day(t)
	h := s.sinLat*d.sinDecl.at(u) + s.cosLat*d.cosDecl.at(u)*math.Cos(d.hour.at(u))
	return h - parallax*(1-h*h)
}

// hourAngle returns the sun's hour angle at t in radians: 0 at the upper transit.
func (s *sky) hourAngle(t float64) float64 {
	d, u := s.day(t)
	return d.hour.at(u)
}

// day returns the day that holds t and the part of it that has passed. A local
// day and the search for its events touch four days at most, which are kept.
func (s *sky) day(t float64) (*solarDay, float64) {
	number := math.Floor(t / daySeconds)
	d := &s.days[int64(number)&3]
	if !d.loaded || d.number != int64(number) {
		s.load(d, number)
	}
	return d, t/daySeconds - number
}

func (s *sky) load(d *solarDay, number float64) {
	t := number * daySeconds
	yesterday := &s.days[(int64(number)-1)&3]
	a, b, c := yesterday.end, apparentAt(t+daySeconds/2), apparentAt(t+daySeconds)
	if !yesterday.loaded || yesterday.number != int64(number)-1 {
		a = apparentAt(t)
	}
	start := a.greenwich + s.lon
	d.loaded, d.number, d.end = true, int64(number), c
	d.hour = through(start, near(b.greenwich+s.lon, start+math.Pi), near(c.greenwich+s.lon, start+2*math.Pi))
	d.sinDecl = through(a.sinDecl, b.sinDecl, c.sinDecl)
	d.cosDecl = through(a.cosDecl, b.cosDecl, c.cosDecl)
}

// near returns the angle that is a whole number of turns from x and nearest to want.
func near(x, want float64) float64 {
	return x + math.Round((want-x)/(2*math.Pi))*2*math.Pi
}

// transits returns the upper or lower transits in [from, to), in order.
func (s *sky) transits(upper bool, from, to float64) []float64 {
	target := math.Pi
	if upper {
		target = 0
	}
	var found []float64
	for t := s.transit(target, from); t < to; t = s.transit(target, t+daySeconds) {
		if t >= from {
			found = append(found, t)
		}
	}
	return found
}

// transit returns the instant nearest to t at which the hour angle is target.
// The angle grows by a turn a day to within 0.05 %, so each step of the
// iteration leaves less than a thousandth of the error.
func (s *sky) transit(target, t float64) float64 {
	for range 3 {
		h := s.hourAngle(t)
		t += (near(target, h) - h) / (2 * math.Pi) * daySeconds
	}
	return t
}
