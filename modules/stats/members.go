package main

import (
	"context"
	"strconv"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/slack"
)

// callTimeout bounds the call of the statistics service; long after the budget,
// 30 s with the default, so that a slow service still gets its figures delivered.
func (s *stats) callTimeout() time.Duration { return 15 * s.budget }

// members is the statistic "members".
func (s *stats) members(ctx context.Context) slack.Message { return s.tell(ctx, renderMembers) }

// invites is the statistic "invites", out of the same figures.
func (s *stats) invites(ctx context.Context) slack.Message { return s.tell(ctx, renderInvites) }

// tell gets the figures and renders them, or says why there are none. Neither the
// token nor an error's text, which may quote what the service sent, reaches the log.
func (s *stats) tell(ctx context.Context, render func(f figures, site string, zone *time.Location) string) slack.Message {
	token, err := s.secret("STATS_API_TOKEN")
	if err != nil {
		s.log(levelError, "cannot read the secret STATS_API_TOKEN", "kind", guest.KindOf(err).String())
		return ephemeral(textNotSetUp)
	}
	res, err := s.call(ctx, &fetch.Request{
		URL: s.url + "/api/stats/members",
		Headers: guest.Pairs{
			// Without it Laravel answers an unknown token with a redirect to a login page.
			{Name: "accept", Value: "application/json"},
			{Name: "authorization", Value: "Bearer " + token},
		},
		Timeout: s.callTimeout(),
	})
	if err != nil {
		return s.unanswered(guest.KindOf(err))
	}
	if res.Status != 200 {
		return s.refused(res.Status)
	}
	f, err := decode(res.Body)
	if err != nil {
		s.log(levelError, "cannot read the statistics service's answer", "reason", err.Error())
		return ephemeral(textUnreadable)
	}
	return slack.Message{ResponseType: s.responseType, Text: render(f, s.site, s.zone)}
}

// unanswered is the reply when there is no whole answer. What the host refuses
// stays refused until somebody changes the configuration.
func (s *stats) unanswered(kind guest.Kind) slack.Message {
	s.log(levelError, "cannot reach the statistics service", "kind", kind.String())
	switch kind {
	case guest.Denied, guest.Invalid:
		return ephemeral(textNotSetUp)
	case guest.TooLarge:
		return ephemeral(textUnreadable)
	}
	return ephemeral(textUnavailable)
}

// refused is the reply to any status but 200. Redirects and client errors are
// mistakes in the URL or the token; 408, 425 and 429 pass by themselves.
func (s *stats) refused(status int) slack.Message {
	s.log(levelError, "the statistics service refused", "status", strconv.Itoa(status))
	switch {
	case status == 408 || status == 425 || status == 429 || status >= 500:
		return ephemeral(textUnavailable)
	default:
		return ephemeral(textNotSetUp)
	}
}
