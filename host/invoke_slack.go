package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"spore/host/config"
	"spore/host/function"
)

// newSlackRequest makes the request that Slack would send when somebody types
// the command: a form, signed over its raw bytes with the route's secret
// (api.slack.com/authentication/verifying-requests-from-slack, version v0).
func newSlackRequest(cfg *config.Config, route function.Route, target string, opt invokeOptions) (*http.Request, error) {
	if !strings.HasPrefix(opt.slack, "/") {
		return nil, &usageError{fmt.Errorf("--slack %q is not a slash command; write it as it is typed, like %q", opt.slack, "/"+opt.slack)}
	}
	secrets, err := openSecrets(cfg)
	if err != nil {
		return nil, err
	}
	secret, err := secrets.Lookup(route.SlackSecret)
	if err != nil {
		return nil, fmt.Errorf("sign as Slack: %w", err)
	}
	command, text, _ := strings.Cut(opt.slack, " ")
	form := url.Values{
		"team_id": {"T000"}, "team_domain": {"spore"}, "channel_id": {"C000"}, "channel_name": {"general"},
		"user_id": {"U000"}, "user_name": {"you"}, "command": {command}, "text": {text}, "api_app_id": {"A000"},
		"is_enterprise_install": {"false"}, "response_url": {opt.responseURL},
		// Another one each time, as functions that write refuse one they have seen.
		"trigger_id": {fmt.Sprintf("%d.0.invoke", time.Now().UnixNano())},
	}
	body := form.Encode()
	req, err := http.NewRequest(http.MethodPost, target, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Request-Timestamp", timestamp)
	req.Header.Set("X-Slack-Signature", slackSignature(secret, timestamp, body))
	return req, nil
}

func slackSignature(secret []byte, timestamp, body string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("v0:" + timestamp + ":" + body))
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// What a reply's text may hold: *bold*, `code`, and <!channel>, <@U123>, <#C123|general>
// or <https://example.org|a link>.
var (
	slackBold   = regexp.MustCompile(`\*([^*\n]+)\*`)
	slackCode   = regexp.MustCompile("`([^`\n]+)`")
	slackMarkup = regexp.MustCompile(`<([@#!]?)([^<>|\n]+)(?:\|([^<>\n]*))?>`)
)

// printSlack shows a slash command's reply as Slack would: who sees it, then the
// text with its markup carried out and its escapes undone. Bold text and code are
// so on a terminal.
func printSlack(out io.Writer, body string) error {
	if strings.TrimSpace(body) == "" {
		_, err := fmt.Fprintln(out, "(acknowledged without a message)")
		return err
	}
	var msg struct {
		ResponseType string `json:"response_type"`
		Text         string `json:"text"`
	}
	if err := json.Unmarshal([]byte(body), &msg); err != nil {
		msg.Text = body // Slack shows a plain answer as text
	}
	who := "Only visible to you"
	if msg.ResponseType == "in_channel" {
		who = "Visible to everybody in #general"
	}
	text := slackMarkup.ReplaceAllStringFunc(withoutControls(msg.Text), showMarkup)
	if wantsColour(out) {
		who = "\x1b[2m" + who + "\x1b[0m"
		text = slackBold.ReplaceAllString(text, "\x1b[1m$1\x1b[0m")
		text = slackCode.ReplaceAllString(text, "\x1b[36m$1\x1b[0m")
	}
	text = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
	_, err := fmt.Fprintf(out, "%s\n%s\n", who, text)
	return err
}

// showMarkup shows whom a text mentions and where it leads. A name that a function
// did not escape is seen for what it does.
func showMarkup(markup string) string {
	m := slackMarkup.FindStringSubmatch(markup)
	kind, what, label := m[1], m[2], m[3]
	switch {
	case kind == "" && label == "":
		return what
	case kind == "":
		return label + " (" + what + ")"
	case kind == "!":
		kind = "@" // everybody in the channel
	}
	if label == "" {
		label = what
	}
	return kind + strings.TrimPrefix(label, kind)
}

// withoutControls keeps a reply from steering the terminal.
func withoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return ' '
		}
		return r
	}, text)
}
