package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"spore/guest"
)

// The services, as answers name them.
const (
	serviceGeocoding = "open-meteo-geocoding"
	serviceForecast  = "open-meteo"
)

// Reasons why something is unknown.
const (
	reasonTimeout        = "timeout"
	reasonUnreachable    = "unreachable"
	reasonRateLimited    = "rate_limited"
	reasonBadAnswer      = "bad_answer"
	reasonBeyondForecast = "beyond_forecast"
	reasonNoData         = "no_data"     // the service has a null for an hour
	reasonNotChecked     = "not_checked" // it could not have changed the decision
	reasonNoWindow       = "no_window"   // there is no window to judge
)

// fetchFunc makes one GET request. A status of any kind is no error.
type fetchFunc func(ctx context.Context, url string) (status int, headers guest.Pairs, body []byte, err error)

// call is one upstream call that was made.
type call struct {
	Service    string `json:"service"`
	Status     int    `json:"status,omitempty"` // 0: there was no answer
	Reason     string `json:"reason,omitempty"` // why the answer is of no use
	RetryAfter int    `json:"retry_after_s,omitempty"`
}

// longestCall bounds one upstream call: two of them fit the default timeout of
// a function, 10 s.
const longestCall = 4 * time.Second

// get calls a service and decodes its JSON answer into v. It leaves time to
// answer: one call takes at most half of what is left until the deadline.
func (s *service) get(ctx context.Context, name, url string, v any) call {
	limit := longestCall
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := call{Service: name}
	status, headers, body, err := s.fetch(ctx, url)
	switch {
	case err != nil:
		c.Reason = reasonOf(err)
		return c
	case status == 429:
		c.Reason, c.RetryAfter = reasonRateLimited, retryAfter(headers.Get("retry-after"), s.now())
	case status != 200:
		c.Reason = "http_" + strconv.Itoa(status)
	case json.Unmarshal(body, v) != nil:
		c.Reason = reasonBadAnswer
	}
	c.Status = status
	return c
}

// reasonOf names the reason of a call without an answer. The host's other kinds
// speak for themselves: denied, overloaded, too_large.
func reasonOf(err error) string {
	kind := guest.KindOf(err).String()
	switch {
	case kind == "deadline", errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	case kind == "none", kind == "unavailable":
		return reasonUnreachable
	}
	return kind
}

// retryAfter reads a Retry-After header, seconds or an HTTP date (RFC 9110,
// 10.2.3), and returns 0 for one that says nothing.
func retryAfter(value string, now time.Time) int {
	seconds, err := strconv.Atoi(value)
	if err != nil {
		date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", value)
		if err != nil {
			return 0
		}
		seconds = int(date.Sub(now).Seconds())
	}
	return max(seconds, 0)
}
