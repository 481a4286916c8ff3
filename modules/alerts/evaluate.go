package main

import (
	"context"
	"slices"
	"time"
)

// evaluation is the judging of one alert.
type evaluation struct {
	*alert
	place   *place
	plan    plan
	weather *forecast // nil: not asked for
	answer  alertAnswer
}

// evaluate judges an alert: place, sun and weekday, and only if those leave a
// window, the weather. Its error is errNoPlace or a missingSecret.
func (s *service) evaluate(ctx context.Context, a *alert) (*alertAnswer, error) {
	e := &evaluation{alert: a}
	e.answer = alertAnswer{
		AlertID: a.id, Nickname: a.nickname, EvaluatedAt: stamp(a.now),
		WhyNot: []whyNot{}, Calls: []call{}, Definitions: said(a.definitions), Attribution: []string{},
	}
	if !e.locate(ctx, s) {
		return nil, errNoPlace
	}
	if e.place == nil {
		return &e.answer, nil
	}
	e.answer.Place = *e.place
	e.prepare()
	candidates := e.plan.windows(a.now, a.now.Add(a.horizon))
	if len(candidates) == 0 {
		e.withoutWindow()
		return &e.answer, nil
	}
	if e.hasWeather() {
		if err := e.askWeather(ctx, s, candidates); err != nil {
			return nil, err
		}
	}
	e.decide(candidates)
	return &e.answer, nil
}

// locate finds the place and reports false when there is no such place. When
// the geocoder gave no answer, e.place stays nil and the alert is undetermined.
func (e *evaluation) locate(ctx context.Context, s *service) bool {
	if e.alert.place.point != nil {
		p := fixed(&e.alert.place)
		e.place = &p
		return true
	}
	found, c := s.geocode(ctx, &e.alert.place)
	e.answer.Calls = append(e.answer.Calls, c)
	e.place = found
	if c.Reason == "" {
		return found != nil
	}
	e.answer.Place.Label = e.alert.place.query
	for i := range e.conditions {
		v := e.unknown(i, c.Reason)
		v.RetryAfter, v.Source = c.RetryAfter, c.source()
		e.answer.Conditions = append(e.answer.Conditions, v)
	}
	e.answer.Decision, e.answer.NextReason = undetermined, nextPlaceUnknown
	return true
}

func (c *call) source() *source { return &source{c.Service, c.Status} }

// prepare makes the plan: the computed conditions at the place.
func (e *evaluation) prepare() {
	e.plan = plan{zone: e.place.zone, hourly: e.hasWeather()}
	for i := range e.conditions {
		switch c := &e.conditions[i]; c.kind {
		case kindSun, kindNight:
			e.plan.lights = append(e.plan.lights, newLight(e.place.point, e.definitions, c))
		case kindWeekday:
			e.plan.weekdays = append(e.plan.weekdays, c.values)
		}
	}
}

func (c *condition) isWeather() bool { return c.kind == kindType || c.kind == kindAmount }

func (e *evaluation) hasWeather() bool {
	return slices.ContainsFunc(e.conditions, func(c condition) bool { return c.isWeather() })
}

// longestForecast is what may be asked for. Open-Meteo refuses days it has no
// forecast for, 16 from today; a night of weeks near the pole ends later.
const longestForecast = 14 * 24 * time.Hour

// askWeather asks for the days of all candidates and the rest of the horizon in
// one call, whole local days because amounts may be per day.
func (e *evaluation) askWeather(ctx context.Context, s *service, candidates []window) error {
	last := later(candidates[len(candidates)-1].end, e.now.Add(e.horizon))
	last = earlier(last, e.now.Add(longestForecast))
	days := daysOver(e.place.zone, earlier(candidates[0].start, e.now), last)
	var err error
	e.weather, err = s.forecast(ctx, e.place.point, days[0].start, days[len(days)-1].end)
	if err != nil {
		return err
	}
	e.answer.Calls = append(e.answer.Calls, e.weather.call)
	if e.weather.call.Reason == "" {
		e.answer.Attribution = append(e.answer.Attribution, s.weather.credit)
	}
	return nil
}

// decide judges the candidates in order and reports the first in which
// everything matches, else the first of all.
func (e *evaluation) decide(candidates []window) {
	chosen, results := candidates[0], e.judgeAll(candidates[0])
	for _, w := range candidates[1:] {
		if decision(results) == send {
			break
		}
		if r := e.judgeAll(w); decision(r) == send {
			chosen, results = w, r
		}
	}
	e.report(results, &chosen)
	e.findNext(chosen.end)
}

// withoutWindow reports that sun, night and weekday leave no window inside the
// horizon. The window shown is the first that fails by its weekday alone.
func (e *evaluation) withoutWindow() {
	var w *window
	if any := e.plan.anyDay(e.now, e.now.Add(e.horizon)); len(any) > 0 {
		w = &any[0]
	}
	var results []verdict
	for i := range e.conditions {
		results = append(results, e.judgeComputed(i, w))
	}
	e.report(results, w)
	e.findNext(e.now)
}

// decision is the three-valued AND: no match beats unknown, unknown beats match.
func decision(results []verdict) string {
	d := send
	for i := range results {
		switch results[i].Result {
		case noMatch:
			return hold
		case unknown:
			d = undetermined
		}
	}
	return d
}

func (e *evaluation) report(results []verdict, w *window) {
	e.answer.Conditions, e.answer.Decision = results, decision(results)
	if w != nil {
		e.answer.Window = &windowSaid{
			Start: stamp(w.start), End: stamp(w.end),
			LocalStart: w.start.In(e.place.zone).Format(time.RFC3339),
			Seconds:    int64(w.end.Sub(w.start).Seconds()),
		}
	}
	for i := range results {
		if results[i].Result == noMatch {
			e.answer.WhyNot = append(e.answer.WhyNot, e.whyNot(i, &results[i]))
		}
	}
}

// findNext fills in the next window, at or after from, in which all that can be
// computed holds.
func (e *evaluation) findNext(from time.Time) {
	w := firstFrom(e.plan.windows, from, e.now.Add(searchSpan))
	if w != nil {
		e.answer.Next = &nextSaid{stamp(w.start), stamp(w.end), !e.hasWeather()}
		return
	}
	e.answer.NextReason = nextSunNeverReaches
	if len(e.plan.lights) == 2 {
		e.answer.NextReason = nextNeverTogether
	}
}
