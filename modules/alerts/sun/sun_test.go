package sun

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var haarlem = Place{52.38084, 4.63683}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return v
}

// day is the UTC day that holds s.
func day(t testing.TB, s string) (from, to time.Time) {
	from = at(t, s+"T00:00:00Z")
	return from, from.AddDate(0, 0, 1)
}

// The worked example of NREL's solar position algorithm (Reda and Andreas,
// NREL/TP-560-34302, appendix A.5), which is good to 0.0003 degree.
func TestPositionAgreesWithNREL(t *testing.T) {
	p := Place{39.742476, -105.1786}
	when := at(t, "2003-10-17T12:30:30-07:00")
	s := newSky(p)
	d, u := s.day(seconds(when))
	require.InDelta(t, -9.31434, degrees(d.sinDecl.at(u)), 0.001)

	// Its zenith is refracted: 820 mbar, 11 C (their equation 42).
	elevation := p.Elevation(when)
	refraction := 820.0 / 1010 * 283 / (273 + 11) * 1.02 / 60 / math.Tan((elevation+10.3/(elevation+5.11))*rad)
	require.InDelta(t, 90-50.11162, elevation+refraction, 0.001)

	// True solar time leads mean time by the equation of time, 14.64 minutes.
	mean := 12 + 30.0/60 + 30.0/3600 + (-105.1786+105)/15
	hours := near(s.hourAngle(seconds(when)), 0) / (2 * math.Pi) * 24
	require.InDelta(t, 14.64, (hours+12-mean)*60, 0.006)
}

// Meeus's example 25.b, computed from the whole of VSOP87: 1992 October 13 at 0h
// dynamical time, declination -7 degrees 47' 01.74".
func TestDeclinationAgreesWithMeeus(t *testing.T) {
	dynamical := seconds(at(t, "1992-10-13T00:00:00Z"))
	a := apparentAt(dynamical - deltaTAt(dynamical))
	require.InDelta(t, -(7 + 47.0/60 + 1.74/3600), degrees(a.sinDecl), 0.0005)
}

func TestParabolasFollowTheFullComputation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		p, when := randomPlace(r), randomTime(r)
		a := apparentAt(seconds(when))
		lat, hour := p.Lat*rad, a.greenwich+p.Lon*rad
		full := math.Sin(lat)*a.sinDecl + math.Cos(lat)*a.cosDecl*math.Cos(hour)
		full -= parallax * (1 - full*full)
		require.InDelta(t, full, newSky(p).height(seconds(when)), 0.0001*rad, "%v %v", p, when)
	}
}

func randomPlace(r *rand.Rand) Place {
	p := Place{r.Float64()*180 - 90, r.Float64()*360 - 180}
	if r.IntN(20) == 0 { // the ends of the range and their neighbourhood
		p.Lat = math.Copysign(90-float64(r.IntN(3))*r.Float64(), p.Lat)
	}
	return p
}

func randomTime(r *rand.Rand) time.Time {
	return time.Unix(-631152000+r.Int64N(100*365*86400), 0) // 1950 to 2049
}

const tolerance = 0.02 // degrees, of a boundary's own elevation

func TestEventsStandAtTheirElevation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	elevation, rising := map[string]float64{}, map[string]bool{}
	for _, k := range kinds(Standard()) {
		if !k.transit {
			elevation[k.name], rising[k.name] = k.elevation, k.rising
		}
	}
	for range 10000 {
		p, from := randomPlace(r), randomTime(r)
		for _, e := range p.Events(Standard(), from, from.Add(24*time.Hour)) {
			want, crossing := elevation[e.Name]
			if e.State != OK || !crossing {
				continue
			}
			require.InDelta(t, want, p.Elevation(e.Time), tolerance, "%v %v", p, e)
			before, after := p.Elevation(e.Time.Add(-2*time.Second)), p.Elevation(e.Time.Add(2*time.Second))
			if math.Abs(after-before) > 1e-4 { // else the sun grazes the elevation
				require.Equal(t, rising[e.Name], after > before, "%v %v", p, e)
			}
		}
	}
}

func TestAbsentEventsAreAbsent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	elevation := map[string]float64{}
	for _, k := range kinds(Standard()) {
		elevation[k.name] = k.elevation
	}
	for range 10000 {
		p, from := randomPlace(r), randomTime(r)
		low, high, sky := 1.0, -1.0, newSky(p) // sines
		for minute := 0; minute < 24*60; minute += 4 {
			h := sky.height(seconds(from) + float64(minute)*60)
			low, high = min(low, h), max(high, h)
		}
		for _, e := range p.Events(Standard(), from, from.Add(24*time.Hour)) {
			switch e.State {
			case AlwaysUp:
				require.Greater(t, degrees(low), elevation[e.Name]-1e-5, "%v %v %v", p, from, e)
			case AlwaysDown:
				require.Less(t, degrees(high), elevation[e.Name]+1e-5, "%v %v %v", p, from, e)
			}
		}
	}
}

func TestWindowsAreWhatTheySay(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d := Standard()
	golden := Band{Low: d.Golden[0], High: d.Golden[1], Cut: true}
	blue := Band{Low: d.Blue[0], High: d.Blue[1], Cut: true}
	bands := []Band{golden, blue, Civil(), Nautical(), Astronomical(), Night()}
	seen := 0
	for range 10000 {
		p, from := randomPlace(r), randomTime(r)
		to := from.Add(36 * time.Hour)
		b := bands[r.IntN(len(bands))]
		windows := p.Windows(b, from, to)
		for i, w := range windows {
			seen++
			require.True(t, w.Start.Before(w.End))
			require.True(t, w.End.After(from) && w.Start.Before(to), "%v %v", p, w)
			require.True(t, i == 0 || !w.Start.Before(windows[i-1].End), "%v overlap", p)
			first, last := p.Elevation(w.Start), p.Elevation(w.End)
			if b.Cut {
				require.Equal(t, w.Rising, last > first, "%v %v", p, w)
			}
			checkEdge(t, p, b, w.Start)
			checkEdge(t, p, b, w.End)
			middle := p.Elevation(w.Start.Add(w.End.Sub(w.Start) / 2))
			require.True(t, middle > b.Low-tolerance && middle < b.High+tolerance, "%v %v", p, w)
		}
	}
	require.Greater(t, seen, 10000)
}

// checkEdge requires a transit, in bands that are cut, or an edge of the band.
func checkEdge(t *testing.T, p Place, b Band, edge time.Time) {
	t.Helper()
	h := p.Elevation(edge)
	if math.Abs(h-b.Low) < tolerance || math.Abs(h-b.High) < tolerance {
		return
	}
	require.True(t, b.Cut, "%v %v: the sun is at %v, %v was asked for", p, edge, h, b)
	half := newSky(p).hourAngle(seconds(edge)) / math.Pi // a whole number at a transit
	require.InDelta(t, math.Round(half), half, 1e-4, "%v %v is no transit", p, edge)
}

func minutes(windows []Window, from, to time.Time) (sum float64) {
	for _, w := range windows {
		if w.End.After(to) {
			w.End = to
		}
		if w.Start.Before(from) {
			w.Start = from
		}
		sum += w.End.Sub(w.Start).Minutes()
	}
	return sum
}

func TestLightOfWellKnownDays(t *testing.T) {
	d := Standard()
	golden := Band{Low: d.Golden[0], High: d.Golden[1], Cut: true}
	blue := Band{Low: d.Blue[0], High: d.Blue[1], Cut: true}
	for name, c := range map[string]struct {
		place        Place
		date         string
		golden, blue float64 // minutes a day
	}{
		"golden hour around noon in the polar night of Tromso": {Place{69.6489, 18.95508}, "2026-12-21", 145, 130},
		"golden hour through midnight in Reykjavik's June":     {Place{64.13548, -21.89541}, "2026-06-21", 405, 0},
		"London in November":         {Place{51.5, -0.1333}, "2026-11-20", 158, 30},
		"the equator at the equinox": {Place{0, 0}, "2026-03-20", 80, 16},
		"Stockholm in June":          {Place{59.32938, 18.06871}, "2026-06-21", 249, 88},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := day(t, c.date)
			require.InDelta(t, c.golden, minutes(c.place.Windows(golden, from, to), from, to), 4)
			if name[0] != 'g' || c.blue == 0 {
				require.InDelta(t, c.blue, minutes(c.place.Windows(blue, from, to), from, to), 4)
			}
		})
	}
}

func TestPolarGoldenHourIsCutAtTheTransit(t *testing.T) {
	golden := Band{Low: -4, High: 6, Cut: true}
	from, to := day(t, "2026-12-21")
	tromso := Place{69.6489, 18.95508}
	w := tromso.Windows(golden, from, to)
	noon := tromso.Times(Noon, from, to)
	require.Len(t, w, 2)
	require.Equal(t, []bool{true, false}, []bool{w[0].Rising, w[1].Rising})
	require.Equal(t, noon[0], w[0].End)
	require.Equal(t, noon[0], w[1].Start)

	reykjavik := Place{64.13548, -21.89541}
	w = reykjavik.Windows(golden, at(t, "2026-06-21T00:00:00Z"), at(t, "2026-06-21T04:00:00Z"))
	midnight := reykjavik.Times(Midnight, at(t, "2026-06-21T00:00:00Z"), at(t, "2026-06-21T04:00:00Z"))
	require.Len(t, w, 2)
	require.Equal(t, []bool{false, true}, []bool{w[0].Rising, w[1].Rising})
	require.Equal(t, midnight[0], w[0].End)
}

func TestNightIsOneWindowThroughMidnight(t *testing.T) {
	w := haarlem.Windows(Night(), at(t, "2026-01-17T21:00:00Z"), at(t, "2026-01-17T21:01:00Z"))
	require.Len(t, w, 1)
	dusk := haarlem.Times(AstronomicalDusk, at(t, "2026-01-17T12:00:00Z"), at(t, "2026-01-18T12:00:00Z"))
	dawn := haarlem.Times(AstronomicalDawn, at(t, "2026-01-17T12:00:00Z"), at(t, "2026-01-18T12:00:00Z"))
	require.Equal(t, Window{dusk[0], dawn[0], w[0].Rising}, w[0])

	pole := Place{90, 0}.Windows(Night(), at(t, "2026-12-21T00:00:00Z"), at(t, "2026-12-22T00:00:00Z"))
	require.Len(t, pole, 1)
	require.InDelta(t, 77, pole[0].End.Sub(pole[0].Start).Hours()/24, 3)
}

// USNO's instants for latitude 90, where the day is a year.
func TestThePoleHasOneSunriseAndOneSunsetAYear(t *testing.T) {
	p := Place{90, 0}
	from, to := at(t, "2022-01-01T00:00:00Z"), at(t, "2023-01-01T00:00:00Z")
	rise, set := p.Times(Sunrise, from, to), p.Times(Sunset, from, to)
	require.Len(t, rise, 1)
	require.Len(t, set, 1)
	// The sun climbs an arc minute an hour there: 10 minutes are 0.003 degree.
	require.WithinDuration(t, at(t, "2022-03-18T13:02:00Z"), rise[0], 10*time.Minute)
	require.WithinDuration(t, at(t, "2022-09-25T04:13:00Z"), set[0], 10*time.Minute)
}

func TestNearThePolesADayIsNotARoutine(t *testing.T) {
	count := func(p Place, name string, year int) (days [3]int) {
		for d := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == year; d = d.AddDate(0, 0, 1) {
			days[min(len(p.Times(name, d, d.AddDate(0, 0, 1))), 2)]++
		}
		return days
	}
	tromso := Place{69.6489, 18.95508}
	rises, sets := count(tromso, Sunrise, 2026), count(tromso, Sunset, 2026)
	require.Positive(t, rises[0], "the polar night and day have no sunrise")
	require.Equal(t, 1, sets[2]+rises[2], "one day of 2026 has two of a kind, when the sun sets at midnight")
}

func TestLongitude180IsTheSameMeridianOnBothSides(t *testing.T) {
	from, to := day(t, "2024-02-29")
	east := Place{-17, 180}.Events(Standard(), from, to)
	west := Place{-17, -180}.Events(Standard(), from, to)
	require.Equal(t, east, west)
}

func TestDeltaTIsContinuousAndClamped(t *testing.T) {
	require.InDelta(t, 29.2, deltaTAt(seconds(at(t, "1950-01-01T00:00:00Z"))), 0.1)
	require.InDelta(t, 93, deltaTAt(seconds(at(t, "2050-01-01T00:00:00Z"))), 0.1)
	require.Equal(t, -2.7, deltaTAt(-1e12))
	require.Equal(t, 202.7, deltaTAt(1e12))
}

func BenchmarkEventsOfADay(b *testing.B) {
	from, to := day(b, "2026-01-17")
	for b.Loop() {
		haarlem.Events(Standard(), from, to)
	}
}

func BenchmarkWindowsOfAYear(b *testing.B) {
	from, _ := day(b, "2026-01-17")
	for b.Loop() {
		haarlem.Windows(Band{Low: -6, High: -4, Cut: true}, from, from.AddDate(1, 0, 0))
	}
}
