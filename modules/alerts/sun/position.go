package sun

import "math"

const (
	daySeconds = 86400
	rad        = math.Pi / 180
	j2000      = 946728000 // 2000-01-01T12:00:00Z, Julian day 2451545.0, in Unix seconds
)

// deltaT is terrestrial time minus universal time in seconds at the start of
// 1900, 1910 ... 2100: observed up to 2020 (Meeus, table 10.A, continued by
// IERS), from there the polynomials of Espenak and Meeus (NASA TP-2006-214141).
// Ten seconds of error move a sunrise by a few hundredths of a second, so a
// finer table would change nothing.
var deltaT = [...]float64{
	-2.7, 10.5, 21.2, 24.0, 24.3, 29.2, 33.2, 40.2, 50.5, 56.9,
	63.8, 66.1, 69.4, 77.6, 84.8, 93.0, 113.7, 135.0, 156.9, 179.5, 202.7,
}

// deltaTAt returns delta T at Unix time t, and the table's ends outside it.
func deltaTAt(t float64) float64 {
	decade := (t-j2000)/daySeconds/3652.5 + 10
	decade = min(max(decade, 0), float64(len(deltaT)-1))
	i := min(int(decade), len(deltaT)-2)
	return deltaT[i] + (decade-float64(i))*(deltaT[i+1]-deltaT[i])
}

// apparent is the sun's apparent geocentric place at one instant.
type apparent struct {
	greenwich        float64 // hour angle at longitude 0, radians, not reduced
	sinDecl, cosDecl float64
}

// perturbation is one term amplitude * cos(phase + rate * millennia since J2000).
type perturbation struct{ amplitude, phase, rate float64 } // degrees, radians, radians

// perturbations are what the moon and the planets do to the sun's longitude: the
// largest terms of VSOP87 that are no part of the ellipse (Meeus, Appendix III,
// series L0 of the Earth). They are the difference between 0.01 and 0.002 degree,
// which is a second at middle latitudes and half an hour at the poles.
var perturbations = [...]perturbation{
	{3497e-8 / rad, 2.7441, 5753.3849},
	{3418e-8 / rad, 2.8289, 3.5231},
	{3136e-8 / rad, 3.6277, 77713.7715},
	{2676e-8 / rad, 4.4181, 7860.4194},
	{2343e-8 / rad, 6.1352, 3930.2097},
	{1324e-8 / rad, 0.7425, 11506.7698},
	{1273e-8 / rad, 2.0371, 529.6910},
	{1199e-8 / rad, 1.1096, 1577.3435},
}

// perturbed returns the sum of the perturbations in degrees, T centuries after J2000.
func perturbed(T float64) (sum float64) {
	for _, p := range perturbations {
		sum += p.amplitude * math.Cos(p.phase+p.rate*T/10)
	}
	return sum
}

// apparentAt computes the sun's place at Unix time t to about 0.002 degree:
// Meeus, Astronomical Algorithms, 2nd edition, chapter 25, low accuracy, which
// is an ellipse, and the perturbations.
func apparentAt(t float64) apparent {
	T := (t + deltaTAt(t) - j2000) / daySeconds / 36525
	meanLong := 280.46646 + T*(36000.76983+T*0.0003032)              // 25.2
	anomaly := (357.52911 + T*(35999.05029-T*0.0001537)) * rad       // 25.3
	node := (125.04 - 1934.136*T) * rad                              // Moon's ascending node, page 164
	centre := (1.914602-T*(0.004817+T*0.000014))*math.Sin(anomaly) + // equation of the centre
		(0.019993-T*0.000101)*math.Sin(2*anomaly) + 0.000289*math.Sin(3*anomaly)
	nutation := -0.00478 * math.Sin(node)
	long := (meanLong + centre + perturbed(T) - 0.00569 + nutation) * rad // aberration, 20.5", and nutation
	obliquity := (23.4392911 - T*(0.0130042+T*(1.64e-7-T*5.04e-7)) + 0.00256*math.Cos(node)) * rad

	sinLong, cosLong := math.Sincos(long)
	sinObl, cosObl := math.Sincos(obliquity)
	x, y, z := cosLong, cosObl*sinLong, sinObl*sinLong // 25.6 and 25.7
	sidereal := siderealAt(t) + nutation*cosObl        // apparent sidereal time, chapter 12
	return apparent{sidereal*rad - math.Atan2(y, x), z, math.Hypot(x, y)}
}

// siderealAt returns the mean sidereal time at Greenwich in degrees (Meeus 12.4).
func siderealAt(t float64) float64 {
	days := (t - j2000) / daySeconds
	T := days / 36525
	return 280.46061837 + 360.98564736629*days + T*T*(0.000387933-T/38710000)
}
