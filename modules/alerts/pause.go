package main

import (
	"context"
	"strconv"
	"time"
)

// A service that wants to be left alone is not asked by anybody until then, as far
// as there is a store to tell the others in.

// How long a service is left alone: what it said, an hour at most, and after a 429
// that says nothing a minute.
const (
	longestPause = time.Hour
	defaultPause = time.Minute
)

func pauseKey(service string) string { return "pause/" + service }

// pause leaves the service alone for the seconds of its Retry-After; 0: it had none.
func (s *service) pause(ctx context.Context, service string, status, seconds int) {
	wait := min(time.Duration(min(seconds, 1<<20))*time.Second, longestPause)
	if wait == 0 && status == 429 {
		wait = defaultPause
	}
	if wait > 0 && s.store != nil {
		until := strconv.FormatInt(s.now().Add(wait).Unix(), 10)
		_ = withRoom(ctx, s.store, func() error { return s.store.put(ctx, pauseKey(service), []byte(until), wait) })
	}
}

// paused returns for how many seconds the service is to be left alone.
func (s *service) paused(ctx context.Context, service string) int {
	if s.store == nil {
		return 0
	}
	value, _, err := s.store.get(ctx, pauseKey(service))
	if err != nil {
		return 0
	}
	until, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0
	}
	left := until - s.now().Unix()
	if left > int64(longestPause/time.Second) { // our clock was set back
		return 0
	}
	return int(max(left, 0))
}
