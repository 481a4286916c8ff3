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
	post         postFunc
	store        store  // nil: nothing is kept
	runJSON      []byte // a run for events without a body; empty: there is none
	secret       func(name string) (string, error)
	now          func() time.Time
}

// handle is the function's handler. Whatever the request is, it is answered; the
// content type it claims is not looked at.
func (s *service) handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	if len(ev.Body) == 0 && len(s.runJSON) > 0 {
		ev.Body = s.runJSON
	}
	status, answer := s.serve(ctx, &ev)
	return guest.Result{Status: status, ContentType: "application/json", Body: encode(answer)}, nil
}

// serve returns the status and the answer to one request.
func (s *service) serve(ctx context.Context, ev *guest.Event) (uint32, any) {
	body := ev.Body
	if len(body) > maxRequest {
		return 413, failed(failureBody{Code: "too_large", Message: "the request is over 64 KiB: send fewer alerts at a time"})
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
	case req.run != nil:
		return s.serveRun(ctx, ev, req.run)
	}
	answer, err := s.evaluate(ctx, req.alert)
	if err != nil {
		status, f := s.refusal(err)
		return status, f
	}
	return 200, answer
}

func (s *service) serveRun(ctx context.Context, ev *guest.Event, req *runRequest) (uint32, any) {
	if !s.mayRun(ev) {
		return 403, failed(failureBody{Code: "run_denied", Secret: runToken,
			Message: "a run over HTTP needs the header authorization: Bearer and the value of the secret " + runToken + ", which the function must be granted"})
	}
	if status, answer := s.remembers(ctx); status != 0 {
		return status, answer
	}
	return 200, s.run(ctx, req)
}

// refusal is the answer to an alert that evaluate could not judge.
func (s *service) refusal(err error) (uint32, failure) {
	var missing missingSecret
	if errors.As(err, &missing) {
		return 500, failed(failureBody{Code: "not_configured", Secret: string(missing),
			Message: s.weather.name + " needs a key: give the host the secret " + string(missing) + " and name it in the function's list of secrets"})
	}
	return 422, failed(failureBody{Code: "place_not_found",
		Message: "no place matches the query: check the spelling, write the country as a two-letter code (Haarlem, NL), or give lat and lon"})
}

func failed(f failureBody) failure { return failure{f} }
