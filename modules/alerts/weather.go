package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"spore/modules/alerts/sun"
)

// Types of precipitation. Sleet is rain and snow in one hour (Britain's meaning)
// and freezing rain; details in answers say which it was.
const (
	rain  = "rain"
	sleet = "sleet"
	snow  = "snow"
	none  = "none"
)

// weatherService is the dialect of one service: how it is asked and what its
// answers mean.
type weatherService interface {
	// question returns path and query that ask for the time from from to to. key
	// is empty for a service without one.
	question(p sun.Place, from, to time.Time, key string) string
	// read returns an answer's spans in order of time, and false when the answer
	// makes no sense.
	read(body []byte) ([]span, bool)
}

// provider is a weather service with what answers say about it.
type provider struct {
	weatherService
	name   string
	origin string // without a slash at the end
	credit string // the attribution its licence asks for
	secret string // names the secret that holds its key; empty: it needs none
}

// forecast is the weather of some time, or the reason why there is none.
type forecast struct {
	call  call
	spans []span // in order of time; they don't overlap
}

// span is the precipitation of a stretch of time, an hour as a rule.
type span struct {
	start, end int64   // Unix seconds
	known      bool    // false: the service has no value for it
	kind       string  // rain, sleet, snow or none
	mm         float64 // water equivalent of the whole span; 0 when kind is none
	detail     string  // the rule that named the kind
}

// missingSecret is the name of a secret that a weather service needs.
type missingSecret string

func (m missingSecret) Error() string { return "missing secret " + string(m) }

// forecast asks the weather service for the time from from to to. Its error is
// always a missingSecret.
func (s *service) forecast(ctx context.Context, p sun.Place, from, to time.Time) (*forecast, error) {
	var key string
	if name := s.weather.secret; name != "" {
		var err error
		if key, err = s.secret(name); err != nil || key == "" {
			return nil, missingSecret(name)
		}
	}
	f := &forecast{}
	f.call = s.get(ctx, s.weather.name, s.weather.origin+s.weather.question(p, from, to, key), func(body []byte) (ok bool) {
		f.spans, ok = s.weather.read(body)
		return ok && inOrder(f.spans)
	})
	return f, nil
}

func inOrder(spans []span) bool {
	for i, s := range spans {
		if s.start >= s.end || i > 0 && s.start < spans[i-1].end {
			return false
		}
	}
	return len(spans) > 0
}

// plausible reports whether a service can mean x: a sum of what passes stays a
// number that JSON has.
func plausible(x float64) bool { return x >= 0 && x <= maxMM }

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// name sets the kind of s and how it was found: by rule, which the service's own
// words precede. Nothing fell where the amount is 0 or the kind is none.
func (s *span) name(kind, words string) {
	s.kind, s.detail = kind, fmt.Sprintf("%s in the %s", words, s.said())
	switch {
	case s.mm == 0:
		s.kind, s.detail = none, "no precipitation in the "+s.said()
	case kind == none:
		s.mm = 0
	}
}

// said names the span in words: "hour 16:00-17:00Z", "6 hours 12:00-18:00Z".
func (s *span) said() string {
	hours := "hour "
	if n := (s.end - s.start) / 3600; n != 1 {
		hours = strconv.FormatInt(n, 10) + " hours "
	}
	return hours + time.Unix(s.start, 0).UTC().Format("15:04-") + time.Unix(s.end, 0).UTC().Format("15:04Z")
}

// part is a span and the seconds of it that are in a window.
type part struct {
	span
	seconds float64
}

// amount is what falls in the part, in mm: the span's amount in proportion.
func (p *part) amount() float64 { return p.mm * p.seconds / float64(p.end-p.start) }

// during returns the parts of w, or the reason why they are not all known. An
// hour stands for each of its minutes; of a wet span that is longer nobody knows
// when it is wet, so it counts only as a whole.
func (f *forecast) during(w window) (parts []part, reason string) {
	if f.call.Reason != "" {
		return nil, f.call.Reason
	}
	at, end := w.start.Unix(), w.end.Unix()
	for _, s := range f.spans {
		if s.end <= at || at >= end {
			continue
		}
		p := part{s, float64(min(s.end, end) - at)}
		switch {
		case at < s.start:
			return nil, f.uncovered(at)
		case !s.known:
			return nil, reasonNoData
		case s.mm > 0 && s.end-s.start > 3600 && p.seconds < float64(s.end-s.start):
			return nil, reasonTooCoarse
		}
		parts = append(parts, p)
		at = s.end
	}
	if at < end {
		return nil, f.uncovered(at)
	}
	return parts, ""
}

// uncovered says why no span holds the instant at.
func (f *forecast) uncovered(at int64) string {
	switch {
	case at < f.spans[0].start:
		return reasonBeforeForecast
	case at >= f.spans[len(f.spans)-1].end:
		return reasonBeyondForecast
	}
	return reasonNoData
}

// round keeps two decimals. What is compared is what the answer shows.
func round(mm float64) float64 { return math.Round(mm*100) / 100 }
