package main

import (
	"context"
	_ "embed"

	"spore/guest"
	"spore/guest/fetch"
)

//go:embed events/members.form
var sampleCommand []byte

const sampleFigures = `{"data":{"members_count":2,"invited_by_mentor_count":1,` +
	`"latest_member":{"name":"Ada","joined_at":"2019-03-04T18:22:31.000000Z"}}}`

// warm answers the sample command once with made-up figures, so that the snapshot
// has what encoding/json and the form's parser build at first use: a request
// takes half the time. It is code and not warmup in functions.toml because a
// sample event gets no secret, and without the token there is no call.
func (s *stats) warm() {
	ev := guest.Event{Method: "POST", ContentType: "application/x-www-form-urlencoded", Body: sampleCommand}
	_, _ = s.rehearsal().handle(context.Background(), ev)
}

// rehearsal is s with a token and an answer that need no host.
func (s *stats) rehearsal() *stats {
	r := *s
	r.secret = func(string) (string, error) { return "", nil }
	r.call = func(context.Context, *fetch.Request) (*fetch.Response, error) {
		return &fetch.Response{Status: 200, Body: []byte(sampleFigures)}, nil
	}
	return &r
}
