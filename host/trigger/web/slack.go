package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Slack's request signatures, version v0:
// https://api.slack.com/authentication/verifying-requests-from-slack.
// A signature does not stop a replay within the window; functions that write
// have to remember what they have done.

const (
	slackWindow  = 300 * time.Second // between its clock and ours, either way
	slackMaxBody = 64 << 10
)

// longSlackBody keeps what is hashed for strangers small.
var longSlackBody = refusal{fasthttp.StatusRequestEntityTooLarge, "too_large", "a signed request body may take 64 KiB"}

// Why a request is refused. The reason goes to the log; the client sees a
// status and nothing else.
const (
	slackNotConfigured      = "not_configured"
	slackMissingHeader      = "missing_header"
	slackMalformedSignature = "malformed_signature"
	slackMalformedTimestamp = "malformed_timestamp"
	slackStaleTimestamp     = "stale_timestamp"
	slackSignatureMismatch  = "signature_mismatch"
)

// admitSlack reports whether the request goes on to the function. Otherwise it
// has answered it. It looks at the raw body, before anything parses it.
func (s *Server) admitSlack(ctx *fasthttp.RequestCtx, r *route, body []byte) bool {
	h := &ctx.Request.Header
	if isForm(h) && isSSLCheck(body) {
		return false // an empty 200
	}
	secret, err := s.slackSecret(r.SlackSecret)
	reason := slackReason(secret, string(h.Peek("X-Slack-Request-Timestamp")), string(h.Peek("X-Slack-Signature")), body, s.opt.Now())
	if reason == "" {
		return true
	}
	status := fasthttp.StatusUnauthorized
	if reason == slackNotConfigured {
		status = fasthttp.StatusInternalServerError
	}
	ctx.SetStatusCode(status)
	s.opt.Log.Warn("slack request refused", "request_id", string(ctx.Response.Header.Peek(requestIDHeader)),
		"function", r.Function, "reason", reason, "secret", r.SlackSecret, "error", err)
	return false
}

func (s *Server) slackSecret(name string) ([]byte, error) {
	if s.opt.Secret == nil {
		return nil, nil
	}
	return s.opt.Secret(name)
}

// isSSLCheck finds Slack's probe of our certificate, which it may send unsigned.
func isSSLCheck(form []byte) bool {
	for len(form) > 0 {
		var pair []byte
		pair, form, _ = bytes.Cut(form, []byte("&"))
		if string(pair) == "ssl_check=1" {
			return true
		}
	}
	return false
}

// slackReason returns "" for a genuine request and why it is refused otherwise.
// The order of the checks is part of its behaviour.
func slackReason(secret []byte, timestamp, signature string, body []byte, now time.Time) string {
	switch {
	case len(secret) == 0:
		return slackNotConfigured
	case timestamp == "" || signature == "":
		return slackMissingHeader
	}
	claimed, ok := parseSlackSignature(signature)
	if !ok {
		return slackMalformedSignature
	}
	sent, ok := parseSlackTimestamp(timestamp)
	switch {
	case !ok:
		return slackMalformedTimestamp
	case now.Unix()-sent > int64(slackWindow/time.Second) || sent-now.Unix() > int64(slackWindow/time.Second):
		return slackStaleTimestamp
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("v0:" + timestamp + ":"))
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), claimed) {
		return slackSignatureMismatch
	}
	return ""
}

// parseSlackSignature takes lower-case digits only: a signature has one spelling.
func parseSlackSignature(text string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(text, "v0=")
	if !ok || len(digits) != 2*sha256.Size || strings.ToLower(digits) != digits {
		return nil, false
	}
	sum, err := hex.DecodeString(digits)
	return sum, err == nil
}

// parseSlackTimestamp takes decimal digits, few enough not to overflow where
// times are subtracted.
func parseSlackTimestamp(text string) (seconds int64, ok bool) {
	const maxDigits = 15
	if len(text) > maxDigits || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return seconds, err == nil
}
