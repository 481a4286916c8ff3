// Members stands in for the statistics endpoint of a Laravel site, with figures
// that never change: GET /api/stats/members, behind a bearer token. The stats
// function asks it in the demo.
package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"strings"
	"time"

	"spore/guest"
	"spore/guest/secret"
)

func main() {
	m := &members{secret: secret.Get, now: time.Now, log: guest.Log}
	guest.Start(m.handle)
}

// members is the function and what it needs of the host.
type members struct {
	secret func(name string) (string, error)
	now    func() time.Time
	log    func(level int32, message string, kv ...string)
}

func (m *members) handle(_ context.Context, ev guest.Event) (guest.Result, error) {
	if ev.Method != "" && ev.Method != "GET" {
		return guest.Result{Status: 405, Headers: guest.Pairs{{Name: "allow", Value: "GET"}}}, nil
	}
	token, err := m.secret("MEMBERS_API_TOKEN")
	if err != nil || token == "" {
		m.log(8, "cannot read the secret MEMBERS_API_TOKEN", "kind", guest.KindOf(err).String())
		return message(500, "Server Error"), nil
	}
	if !authorized(ev.Headers, token) {
		return unauthenticated(ev.Headers), nil
	}
	return m.figures()
}

// authorized compares in constant time, so that a guess learns nothing from how
// long its refusal takes.
func authorized(headers guest.Pairs, token string) bool {
	scheme, given, _ := strings.Cut(headers.Get("authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// unauthenticated answers as Laravel does: who doesn't ask for JSON is taken
// for a browser and sent to the login page.
func unauthenticated(headers guest.Pairs) guest.Result {
	if !strings.Contains(headers.Get("accept"), "json") {
		return guest.Result{Status: 302, Headers: guest.Pairs{{Name: "location", Value: "/login"}}}
	}
	res := message(401, "Unauthenticated.")
	res.Headers = guest.Pairs{{Name: "www-authenticate", Value: "Bearer"}}
	return res
}

// timeFormat is how Laravel writes dates in JSON: UTC with microseconds.
const timeFormat = "2006-01-02T15:04:05.000000Z"

type document struct {
	Data data `json:"data"`
	Meta meta `json:"meta"`
}

type data struct {
	MembersCount         int    `json:"members_count"`
	InvitedByMentorCount int    `json:"invited_by_mentor_count"`
	LatestMember         member `json:"latest_member"`
}

type member struct {
	Name     string `json:"name"`
	JoinedAt string `json:"joined_at"`
}

type meta struct {
	GeneratedAt string `json:"generated_at"`
}

func (m *members) figures() (guest.Result, error) {
	body, err := json.Marshal(document{
		Data: data{
			MembersCount:         1342,
			InvitedByMentorCount: 418,
			LatestMember:         member{Name: "Ada L.", JoinedAt: "2019-03-04T18:22:31.000000Z"},
		},
		Meta: meta{GeneratedAt: m.now().UTC().Format(timeFormat)},
	})
	return guest.JSON(body), err
}

// message is the body of Laravel's errors.
func message(status uint32, text string) guest.Result {
	res := guest.JSON([]byte(`{"message":"` + text + `"}`))
	res.Status = status
	return res
}
