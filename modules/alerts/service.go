package main

import (
	"context"
	"errors"
	"time"

	"spore/guest"
)

// service answers requests. It does not change once made.
type service struct {
	weather      provider
	geocodingURL string // an origin, without a slash at the end
	fetch        fetchFunc
	secret       func(name string) (string, error)
	now          func() time.Time
}

// handle is the function's handler. Whatever the request is, it is answered; the
// content type it claims is not looked at.
func (s *service) handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	status, answer := s.serve(ctx, ev.Body)
	return guest.Result{Status: status, ContentType: "application/json", Body: encode(answer)}, nil
}

// serve returns the status and the answer to one request.
func (s *service) serve(ctx context.Context, body []byte) (uint32, any) {
	if len(body) > maxRequest {
		return 413, failed(failureBody{Code: "too_large", Message: "the request is over 64 KiB: send one alert at a time"})
	}
	fields, bad := parseObject(body)
	if bad != nil {
		return 400, failed(failureBody{Code: "bad_json", Message: bad.reason, At: &bad.at})
	}
	req, problems := readRequest(fields, s.now())
	switch {
	case len(problems) > 0:
		return 422, failed(failureBody{Code: "invalid_params", Message: "correct the problems listed", Problems: problems})
	case req.day != nil:
		return 200, describeDay(req.day)
	}
	answer, err := s.evaluate(ctx, req.alert)
	var missing missingSecret
	switch {
	case errors.As(err, &missing):
		return 500, failed(failureBody{Code: "not_configured", Secret: string(missing),
			Message: s.weather.name + " needs a key: give the host the secret " + string(missing) + " and name it in the function's list of secrets"})
	case err != nil:
		return 422, failed(failureBody{Code: "place_not_found",
			Message: "no place matches the query: check the spelling, write the country as a two-letter code (Haarlem, NL), or give lat and lon"})
	}
	return 200, answer
}

func failed(f failureBody) failure { return failure{f} }
