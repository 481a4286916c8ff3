// Package slack helps with Slack's slash commands and events: it reads the
// command, writes messages, and checks where a late answer may go.
//
// Signatures are the host's: a route with verify lets nothing unsigned through,
// and no function needs the signing secret.
package slack

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"spore/guest"
)

// Errors of ParseCommand.
var (
	ErrContentType = errors.New("slack: the event's content type is not application/x-www-form-urlencoded; answer 415")
	ErrForm        = errors.New("slack: the event's body is not the form of a slash command; answer 400")
)

// Command is a slash command. All of it is what a user or Slack typed.
type Command struct {
	Command     string // with its slash: "/stats"
	Text        string // what follows the first space, untouched
	TeamID      string
	ChannelID   string
	UserID      string
	TriggerID   string // differs in every command: what writes remembers it for five minutes against replays
	ResponseURL string // grants whoever knows it a message: log it nowhere, and see CheckResponseURL
}

// ParseCommand reads the slash command in ev's body.
func ParseCommand(ev guest.Event) (Command, error) {
	if !hasType(ev, "application/x-www-form-urlencoded") {
		return Command{}, ErrContentType
	}
	form, err := url.ParseQuery(string(ev.Body))
	if err != nil || form.Get("command") == "" {
		return Command{}, ErrForm // the cause would quote the form
	}
	return Command{
		Command:     form.Get("command"),
		Text:        form.Get("text"),
		TeamID:      form.Get("team_id"),
		ChannelID:   form.Get("channel_id"),
		UserID:      form.Get("user_id"),
		TriggerID:   form.Get("trigger_id"),
		ResponseURL: form.Get("response_url"),
	}, nil
}

func hasType(ev guest.Event, want string) bool {
	media, _, _ := strings.Cut(ev.ContentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), want)
}

// Challenge answers the url_verification request with which Slack tries an
// events endpoint. ok is false when ev is not one.
func Challenge(ev guest.Event) (res guest.Result, ok bool) {
	var hello struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if !hasType(ev, "application/json") {
		return guest.Result{}, false
	}
	if err := json.Unmarshal(ev.Body, &hello); err != nil || hello.Type != "url_verification" {
		return guest.Result{}, false
	}
	body, err := json.Marshal(map[string]string{"challenge": hello.Challenge})
	if err != nil {
		return guest.Result{}, false
	}
	return guest.JSON(body), true
}
