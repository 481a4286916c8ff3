package sun

import "math"

// step is the distance of the samples in seconds. Between two samples the
// elevation is either monotonic or has one turning point, which is added.
const step = 3600

// curve is the sun's height over a span of time, sampled so closely that every
// level it crosses is crossed between two neighbouring points. There is no
// special case for the poles, for two crossings in a day, or for none.
type curve struct {
	sky      *sky
	from, to float64 // the half-open span that was asked for, Unix seconds
	points   []point // reaches one step over both ends
}

type point struct{ t, h float64 } // h is the sine of the elevation

func newCurve(s *sky, from, to float64) *curve {
	n := int(math.Ceil((to-from)/step)) + 3
	c := &curve{sky: s, from: from, to: to, points: make([]point, 0, n+n/8+4)}
	var a, b point // the two samples before
	for i := range n {
		t := from + float64(i-1)*step
		p := point{t, s.height(t)}
		if i >= 2 && (b.h > a.h) != (p.h > b.h) {
			c.turn(a, b, p)
		}
		c.points = append(c.points, p)
		a, b = b, p
	}
	return c
}

// turn adds the turning point among the samples a, b, p, of which a and b are in
// c.points already. The vertex of the parabola through them is so near to it
// that the height is right to 0.001 degree.
func (c *curve) turn(a, b, p point) {
	bend := a.h - 2*b.h + p.h
	if bend == 0 {
		return
	}
	t := b.t + step/2*(a.h-p.h)/bend
	v := point{t, c.sky.height(t)}
	switch {
	case t > b.t:
		c.points = append(c.points, v)
	case t < b.t:
		c.points[len(c.points)-1] = v
		c.points = append(c.points, b)
	}
}

// crossings returns the instants of the span at which the sun rises above
// level, a sine, or sinks below it, in order.
func (c *curve) crossings(level float64, rising bool) []float64 {
	var found []float64
	for i := 1; i < len(c.points); i++ {
		a, b := c.points[i-1], c.points[i]
		if above := b.h > level; above == (a.h > level) || above != rising {
			continue
		}
		if t := c.root(level, a, b); t >= c.from && t < c.to {
			found = append(found, t)
		}
	}
	return found
}

// root finds where the height passes level between a and b by regula falsi with
// the Pegasus modification (Dowell and Jarratt, BIT 12, 1972), which keeps the bracket
// and needs about four steps, half a step less than the Illinois modification.
func (c *curve) root(level float64, a, b point) float64 {
	const (
		maxSteps = 50
		enough   = 1e-9 // of the sine: 0.0000001 degree
	)
	fa, fb := a.h-level, b.h-level
	t := a.t
	for range maxSteps {
		t = a.t - fa*(b.t-a.t)/(fb-fa)
		f := c.sky.height(t) - level
		if math.Abs(f) < enough {
			break
		}
		if (f > 0) == (fb > 0) {
			fa *= fb / (fb + f)
		} else {
			a.t, fa = b.t, fb
		}
		b.t, fb = t, f
	}
	return t
}
