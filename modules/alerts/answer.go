package main

import (
	"encoding/json"
	"time"

	"spore/modules/alerts/sun"
)

// alertAnswer is what an alert's evaluation says.
type alertAnswer struct {
	AlertID     string      `json:"alert_id,omitempty"`
	Nickname    string      `json:"nickname,omitempty"`
	Decision    string      `json:"decision"`
	EvaluatedAt string      `json:"evaluated_at"`
	Place       place       `json:"place"`
	Window      *windowSaid `json:"window"`
	Conditions  []verdict   `json:"conditions"`
	Next        *nextSaid   `json:"next"`
	NextReason  string      `json:"next_reason,omitempty"` // why Next is null
	WhyNot      []whyNot    `json:"why_not"`
	Calls       []call      `json:"calls"`
	Definitions definitions `json:"definitions"`
	Attribution []string    `json:"attribution"`
}

// Decisions.
const (
	send         = "send"
	hold         = "hold"         // at least one condition does not match
	undetermined = "undetermined" // none fails and at least one is unknown
)

// Why there is no next window.
const (
	nextSunNeverReaches = "sun_never_reaches" // within the search, on no wanted day
	nextNeverTogether   = "never_together"    // sun and night have windows, never in common
	nextPlaceUnknown    = "place_unknown"
)

type windowSaid struct {
	Start      string `json:"start"`
	End        string `json:"end"`
	LocalStart string `json:"local_start"`
	Seconds    int64  `json:"seconds"`
}

type nextSaid struct {
	Start   string `json:"start"`
	End     string `json:"end"`
	Certain bool   `json:"certain"` // false while a weather condition is open
}

// Results of one condition.
const (
	match   = "match"
	noMatch = "no_match"
	unknown = "unknown"
)

// verdict is the result of one condition, and what it rests on.
type verdict struct {
	Type       string   `json:"type"`
	Value      string   `json:"value,omitempty"`
	Result     string   `json:"result"`
	Reason     string   `json:"reason,omitempty"` // of unknown
	RetryAfter int      `json:"retry_after_s,omitempty"`
	Observed   any      `json:"observed,omitempty"` // a day, or a list of types
	ObservedMM *float64 `json:"observed_mm,omitempty"`
	Wanted     *amount  `json:"wanted,omitempty"`
	Detail     string   `json:"detail,omitempty"`
	Source     *source  `json:"source,omitempty"`
}

type amount struct {
	Per string   `json:"per"`
	Min *float64 `json:"min_mm,omitempty"`
	Max *float64 `json:"max_mm,omitempty"`
}

type source struct {
	Service string `json:"service"`
	Status  int    `json:"status,omitempty"`
}

// whyNot explains a condition that does not match.
type whyNot struct {
	Condition int      `json:"condition"` // index into the alert's conditions
	Wanted    any      `json:"wanted"`
	Seen      any      `json:"seen"`
	ShortBy   *float64 `json:"short_by_mm,omitempty"`
	OverBy    *float64 `json:"over_by_mm,omitempty"`
	OffBy     *float64 `json:"off_by_degrees,omitempty"` // of the sun's height
	Nearest   *string  `json:"nearest"`                  // when this condition, taken alone, holds next; null: not in sight
}

// definitions repeat what the answer's terms mean.
type definitions struct {
	sun.Definitions
	Refraction string `json:"refraction"`
}

// refraction says where refraction is part of an elevation.
const refraction = "sunrise and sunset only"

func said(d sun.Definitions) definitions { return definitions{d, refraction} }

// failure is the answer to a request that cannot be judged.
type failure struct {
	Error failureBody `json:"error"`
}

type failureBody struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	At       *int64    `json:"at,omitempty"`     // bad_json: bytes read until then
	Secret   string    `json:"secret,omitempty"` // not_configured: its name
	Problems []problem `json:"problems,omitempty"`
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// encode cannot fail: the answers hold no maps with odd keys, no cycles, no
// infinities.
func encode(v any) []byte {
	if done, ok := v.(json.RawMessage); ok {
		return done
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("alerts: internal error: " + err.Error())
	}
	return b
}
