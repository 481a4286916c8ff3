package main

import (
	"context"
	"time"

	"spore/guest"
	"spore/guest/slack"
)

// postFunc makes one POST of JSON and returns the status of the answer, 0 when there
// was none.
type postFunc func(ctx context.Context, url string, body []byte) (status int, err error)

// target is where a run's notifications go.
type target struct {
	kind   string // targetSlack or targetWebhook
	secret string // names the secret that holds the URL
}

// Kinds of target. Slack's incoming webhooks take a text; a webhook of one's own
// gets the facts too.
const (
	targetSlack   = "slack"
	targetWebhook = "webhook"
)

// notification says what became of an alert's notification in this run.
type notification struct {
	Result   string `json:"result"`
	Attempts int    `json:"attempts,omitempty"`
	Status   int    `json:"status,omitempty"` // the receiver's
	Reason   string `json:"reason,omitempty"`
	Recorded *bool  `json:"recorded,omitempty"` // false: the outcome could not be written down
}

// Results beside the states of a claim.
const (
	alreadySent = "already_sent" // by an earlier run
	notSent     = "not_sent"     // nothing was sent and nothing claimed; the next run tries again
)

// A notification is not begun with less time than that: it has to be sent and its
// outcome written down.
const (
	leastTime   = 3 * time.Second
	longestPost = 4 * time.Second
)

// notify sends the notification of an alert that is to be sent, once for its window.
func (s *service) notify(ctx context.Context, t target, a *alert, answer *alertAnswer, w window) notification {
	url, err := s.secret(t.secret)
	if err != nil || url == "" {
		return notification{Result: notSent, Reason: "secret_missing"}
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < leastTime {
		return notification{Result: notSent, Reason: reasonTimeout}
	}
	mine, ours, err := take(ctx, s.store, a.id, a.windowKind(), w, s.now())
	switch {
	case err != nil: // a claim that was not seen to be made is not used
		return notification{Result: notSent, Reason: "store_" + kindName(err)}
	case !ours && mine.State == stateSent:
		return notification{Result: alreadySent, Attempts: mine.Attempts, Status: mine.Status}
	case !ours:
		return notification{Result: mine.State, Attempts: mine.Attempts, Status: mine.Status, Reason: mine.Reason}
	}
	s.send(ctx, url, t.message(a, answer), &mine)
	n := notification{Result: mine.State, Attempts: mine.Attempts, Status: mine.Status, Reason: mine.Reason}
	mine.At = s.now().Unix()
	if err := settle(ctx, s.store, a.id, mine, s.now()); err != nil {
		n.Recorded = new(bool)
	}
	return n
}

// send makes the POST and says in c what came of it.
func (s *service) send(ctx context.Context, url string, body []byte, c *claim) {
	limit := longestPost
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)-leastTime/3)
	}
	if limit <= 0 { // the claim took long
		c.State, c.Reason = stateFailed, reasonTimeout
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := s.post(ctx, url, body)
	c.Status = status
	switch kind := guest.KindOf(err); {
	case err == nil && status >= 200 && status < 300:
		c.State = stateSent
	case err == nil && refused(status):
		c.State = stateFailed
	case kind == guest.Denied, kind == guest.Overloaded, kind == guest.Invalid: // the host did not send it
		c.State, c.Reason = stateFailed, kind.String()
	default:
		c.State = stateUnconfirmed
		if err != nil {
			c.Reason = reasonOf(err)
		}
	}
}

// refused reports whether an answer says that nothing came of the POST. A 5xx does not:
// the receiver may have broken after it had passed the message on, and a proxy (502,
// 504, 520 and up) does not know; but 501 and 503 mean that it was not begun.
func refused(status int) bool { return status < 500 || status == 501 || status == 503 }

// kindName is the kind of a store's error.
func kindName(err error) string {
	if kind := guest.KindOf(err); kind != guest.None {
		return kind.String()
	}
	return "failed"
}

// message is the body of the notification. The same alert and window make the same.
func (t target) message(a *alert, answer *alertAnswer) []byte {
	title := a.nickname
	if title == "" {
		title = a.id
	}
	w := answer.Window
	where := answer.Place.Label
	if where == "" {
		where = decimal(*answer.Place.Lat) + ", " + decimal(*answer.Place.Lon)
	}
	text := title + ": " + readable(w.LocalStart) + ", for " + (time.Duration(w.Seconds) * time.Second).String() + ", at " + where + "."
	for _, line := range answer.Attribution {
		text += " " + line + "."
	}
	if t.kind == targetSlack {
		return encode(map[string]string{"text": slack.Escape(text)})
	}
	return encode(webhookBody{a.id, a.nickname, text, answer.Place, w})
}

type webhookBody struct {
	AlertID  string      `json:"alert_id"`
	Nickname string      `json:"nickname,omitempty"`
	Text     string      `json:"text"`
	Place    place       `json:"place"`
	Window   *windowSaid `json:"window"`
}

// readable turns a local RFC 3339 time into words.
func readable(local string) string {
	t, err := time.Parse(time.RFC3339, local)
	if err != nil {
		return local
	}
	return t.Format("Mon 2 Jan 15:04")
}
