package slack

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"spore/guest"
)

// Who sees a message.
const (
	Ephemeral = "ephemeral"  // the user who typed the command
	InChannel = "in_channel" // everybody, with the command that was typed
)

// Message is an answer to a slash command. Text is mrkdwn: bold is *one*
// asterisk, and foreign text in it goes through Escape.
type Message struct {
	ResponseType string `json:"response_type"` // Ephemeral or InChannel
	Text         string `json:"text"`
}

// JSON returns the message as it is posted to a response_url.
func (m Message) JSON() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("slack: internal error: two strings that are no JSON")
	}
	return b
}

// Result returns the message as the answer to a command.
func (m Message) Result() guest.Result { return guest.JSON(m.JSON()) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Escape makes foreign text harmless in a message: it can mention nobody and
// make no link. These three characters are all that Slack wants escaped.
func Escape(s string) string { return escaper.Replace(s) }

const responseHost = "hooks.slack.com"

var errResponseURL = errors.New("slack: the response_url does not lead to https://" + responseHost)

// CheckResponseURL refuses a response_url that is not https://hooks.slack.com
// with neither port nor credentials. testHost, a host with or without a port as
// the URL has it, is allowed beside it, with http too; it is for tests with a
// stand-in for Slack and empty otherwise. The error does not quote the URL.
func CheckResponseURL(raw, testHost string) error {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil {
		return errResponseURL
	}
	web := u.Scheme == "https" || u.Scheme == "http"
	switch {
	case u.Scheme == "https" && u.Host == responseHost:
		return nil
	case web && testHost != "" && u.Host == testHost:
		return nil
	}
	return errResponseURL
}
