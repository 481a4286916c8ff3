package main

import (
	"context"
	"strconv"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/slack"
)

// Later answers are to be there within a minute: the slowest call (see
// callTimeout) and three tries of tryTimeout each fit, with their pauses.
const (
	lateWithin = 60 * time.Second
	tryTimeout = 5 * time.Second
	retryPause = time.Second // twice as long before the second retry
	tries      = 3           // of the five uses a response_url has
)

// answer replies with what run says, or, when that takes longer than the budget,
// says so and posts the reply to the command's response_url afterwards.
func (s *stats) answer(ctx context.Context, cmd slack.Command, run func(*stats, context.Context) slack.Message) (guest.Result, error) {
	if slack.CheckResponseURL(cmd.ResponseURL, s.testHost) != nil {
		// There is nowhere to answer later: what takes longer is given up.
		ctx, cancel := context.WithTimeout(ctx, s.budget)
		defer cancel()
		return run(s, ctx).Result(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lateWithin)
	defer cancel()
	done := make(chan slack.Message, 1)
	go func() { done <- run(s, ctx) }()
	timer := time.NewTimer(s.budget)
	defer timer.Stop()
	select {
	case msg := <-done:
		return msg.Result(), nil
	case <-timer.C:
	}
	if err := s.respond(ephemeral(textFetching).Result()); err != nil {
		return guest.Result{}, err
	}
	s.post(ctx, cmd.ResponseURL, <-done)
	return guest.Result{}, nil
}

// post delivers a late answer with one try and two retries. The URL lets whoever
// reads it write to the user, so no log line names it, nor an error that might.
func (s *stats) post(ctx context.Context, url string, msg slack.Message) {
	req := fetch.Request{
		Method:  "POST",
		URL:     url,
		Headers: guest.Pairs{{Name: "content-type", Value: "application/json"}},
		Body:    msg.JSON(),
		Timeout: tryTimeout,
	}
	for try := 1; ; try++ {
		reason, again := s.try(ctx, &req)
		if reason == "" {
			return
		}
		if !again || try == tries || !pause(ctx, time.Duration(try)*retryPause) {
			s.log(levelError, "cannot deliver a late answer", "reason", reason, "tries", strconv.Itoa(try))
			return
		}
	}
}

// try posts once and says what went wrong and whether trying again may help.
func (s *stats) try(ctx context.Context, req *fetch.Request) (reason string, again bool) {
	res, err := s.call(ctx, req)
	switch {
	case err != nil:
		kind := guest.KindOf(err)
		return kind.String(), kind != guest.Denied && kind != guest.Invalid
	case res.Status >= 200 && res.Status <= 299:
		return "", false
	}
	return "status " + strconv.Itoa(res.Status), res.Status == 429 || res.Status >= 500
}

// pause waits and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
