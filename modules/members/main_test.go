package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

const token = "s3cret-token"

// function returns the function with a secret, a clock that stands still, and a
// log.
func function(value string, err error) (*members, *strings.Builder) {
	log := new(strings.Builder)
	return &members{
		secret: func(name string) (string, error) {
			if name != "MEMBERS_API_TOKEN" {
				return "", errors.New("another secret: " + name)
			}
			return value, err
		},
		now: func() time.Time { return time.Date(2019, 3, 5, 9, 0, 0, 0, time.FixedZone("", 3600)) },
		log: func(_ int32, message string, kv ...string) { fmt.Fprintln(log, message, kv) },
	}, log
}

func request(authorization, accept string) guest.Event {
	return guest.Event{Method: "GET", Headers: guest.Pairs{
		{Name: "authorization", Value: authorization},
		{Name: "accept", Value: accept},
	}}
}

func TestTheRightTokenGetsTheDocumentedAnswer(t *testing.T) {
	want, err := os.ReadFile("testdata/stats-members.json")
	require.NoError(t, err)
	for name, ev := range map[string]guest.Event{
		"as documented":               request("Bearer "+token, "application/json"),
		"the scheme in small letters": request("bearer "+token, "application/json"),
		"any accept":                  request("Bearer "+token, "*/*"),
	} {
		t.Run(name, func(t *testing.T) {
			m, log := function(token, nil)
			res, err := m.handle(t.Context(), ev)
			require.NoError(t, err)
			require.Zero(t, res.Status)
			require.Equal(t, "application/json", res.ContentType)
			require.Equal(t, strings.TrimSpace(string(want)), string(res.Body))
			require.Empty(t, log.String())
		})
	}
}

func TestOtherRequestsAreRefused(t *testing.T) {
	const json = "application/json"
	tests := []struct {
		name   string
		secret string
		err    error
		ev     guest.Event
		status uint32
		body   string
		header guest.Pair
	}{
		{"no token", token, nil, guest.Event{Method: "GET", Headers: guest.Pairs{{Name: "accept", Value: json}}},
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"a wrong token", token, nil, request("Bearer s3cret-tokem", json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"the beginning of the token", token, nil, request("Bearer s3cret", json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"the token and more", token, nil, request("Bearer "+token+"x", json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"an empty token", token, nil, request("Bearer ", json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"another scheme", token, nil, request("Basic "+token, json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"no scheme", token, nil, request(token, json),
			401, `{"message":"Unauthenticated."}`, guest.Pair{Name: "www-authenticate", Value: "Bearer"}},
		{"a browser without a token", token, nil, request("", "text/html"),
			302, "", guest.Pair{Name: "location", Value: "/login"}},
		{"POST", token, nil, guest.Event{Method: "POST"}, 405, "", guest.Pair{Name: "allow", Value: "GET"}},
		{"no secret on the host", "", errors.New("denied"), request("Bearer "+token, json), 500, `{"message":"Server Error"}`, guest.Pair{}},
		{"an empty secret on the host", "", nil, request("Bearer ", json), 500, `{"message":"Server Error"}`, guest.Pair{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, log := function(tt.secret, tt.err)
			res, err := m.handle(t.Context(), tt.ev)
			require.NoError(t, err)
			require.Equal(t, tt.status, res.Status)
			require.Equal(t, tt.body, string(res.Body))
			if tt.header.Name != "" {
				require.Equal(t, guest.Pairs{tt.header}, res.Headers)
			}
			require.Equal(t, tt.status == 500, strings.Contains(log.String(), "MEMBERS_API_TOKEN"))
			require.NotContains(t, log.String(), token)
		})
	}
}
