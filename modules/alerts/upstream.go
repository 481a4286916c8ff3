package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"spore/guest"
)

// serviceGeocoding is the geocoder, as answers name it. The weather services
// have theirs in their provider.
const serviceGeocoding = "open-meteo-geocoding"

// Reasons why something is unknown.
const (
	reasonTimeout        = "timeout"
	reasonUnreachable    = "unreachable"
	reasonRateLimited    = "rate_limited"
	reasonBadAnswer      = "bad_answer"
	reasonBeforeForecast = "before_forecast" // the window began before the forecast does
	reasonBeyondForecast = "beyond_forecast"
	reasonNoData         = "no_data"     // the service has a null for an hour, or leaves it out
	reasonTooCoarse      = "too_coarse"  // the service has one sum for more hours than are in the window
	reasonNotChecked     = "not_checked" // it could not have changed the decision
	reasonNoWindow       = "no_window"   // there is no window to judge
)

// fetchFunc makes one GET request with the headers given. A status of any kind is no
// error.
type fetchFunc func(ctx context.Context, url string, with guest.Pairs) (status int, headers guest.Pairs, body []byte, err error)

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

// get calls a service and hands its answer to read, which reports whether it
// made sense. It leaves time to answer: one call takes at most half of what is
// left until the deadline.
func (s *service) get(ctx context.Context, name, url string, read func(body []byte) bool) call {
	limit := longestCall
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := call{Service: name}
	if seconds := s.paused(ctx, name); seconds > 0 {
		c.Reason, c.RetryAfter = reasonRateLimited, seconds
		return c
	}
	status, headers, body, err := s.cached(ctx, url)
	switch {
	case err != nil:
		c.Reason = reasonOf(err)
		return c
	case status == 429:
		c.Reason, c.RetryAfter = reasonRateLimited, retryAfter(headers)
	case status != 200 && status != 203: // 203: good, but MET Norway will retire the product
		c.Reason = "http_" + strconv.Itoa(status)
	case !read(body):
		c.Reason = reasonBadAnswer
	}
	if status == 429 || status == 503 {
		s.pause(ctx, name, status, retryAfter(headers))
	}
	c.Status = status
	return c
}

// reasonOf names the reason of a call without an answer. The host's other kinds
// speak for themselves: denied, overloaded, too_large.
func reasonOf(err error) string {
	kind := guest.KindOf(err).String()
	switch {
	case errors.Is(err, errBudget):
		return reasonBudget
	case kind == "deadline", errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	case kind == "none", kind == "unavailable":
		return reasonUnreachable
	}
	return kind
}

// retryAfter reads a Retry-After header, seconds or an HTTP date (RFC 9110,
// 10.2.3), and returns 0 for one that says nothing. A date is taken from the
// answer's own Date and not from our clock: the same answer gives the same bytes.
func retryAfter(headers guest.Pairs) int {
	value := headers.Get("retry-after")
	seconds, err := strconv.Atoi(value)
	if err != nil {
		until, err := httpTime(value)
		sent, err2 := httpTime(headers.Get("date"))
		if err != nil || err2 != nil {
			return 0
		}
		seconds = int(until.Sub(sent).Seconds())
	}
	return max(seconds, 0)
}
