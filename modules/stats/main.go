// Stats answers the Slack command "/stats members" with figures from the
// site's statistics endpoint.
//
// The host has verified Slack's signature before a sandbox is taken; this
// function never sees the signing secret. It reads the command (main.go,
// command.go), asks the endpoint (members.go, answer.go), writes the reply
// (render.go) and, when the endpoint is slow, delivers it later (late.go).
package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
	"spore/guest/slack"
)

func main() {
	cfg, err := readConfig(os.Getenv)
	if err != nil {
		os.Stderr.WriteString("stats: " + err.Error() + "\n")
		os.Exit(2)
	}
	s := &stats{config: cfg, call: fetch.Do, secret: secret.Get, respond: guest.Respond, log: guest.Log}
	guest.Warm(s.warm)
	guest.Start(s.handle)
}

// stats is the function: its configuration, and what it needs of the host.
type stats struct {
	config
	call    func(context.Context, *fetch.Request) (*fetch.Response, error)
	secret  func(name string) (string, error)
	respond func(guest.Result) error
	log     func(level int32, message string, kv ...string)
}

const levelError = 8 // log/slog's

// handle answers one command. Slack shows every status but 200 as a failure, so
// only requests that are no commands get one.
func (s *stats) handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	if ev.Method != "" && ev.Method != "POST" {
		return guest.Result{Status: 405, Headers: guest.Pairs{{Name: "allow", Value: "POST"}}}, nil
	}
	cmd, err := slack.ParseCommand(ev)
	switch {
	case errors.Is(err, slack.ErrContentType):
		if res, ok := slack.Challenge(ev); ok { // the app's events may have the same URL
			return res, nil
		}
		return guest.Result{Status: 415}, nil
	case err != nil:
		return guest.Result{Status: 400}, nil
	}
	word := strings.TrimSpace(cmd.Text)
	if word == "" || strings.EqualFold(word, "help") {
		return ephemeral(usage()).Result(), nil
	}
	for _, sub := range subcommands {
		if strings.EqualFold(word, sub.name) {
			return s.answer(ctx, cmd, sub.run)
		}
	}
	return ephemeral("Sorry, unknown statistic \"" + harmless(word, maxWord) + "\".\n" + usage()).Result(), nil
}
