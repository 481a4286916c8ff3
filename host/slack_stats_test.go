package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	goslack "github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/stretchr/testify/require"
)

func figuresOf(members, invited, latest string) string {
	return `{"data":{"members_count":` + members + `,"invited_by_mentor_count":` + invited + `,"latest_member":` + latest + `}}`
}

func joined(name, at string) string { return `{"name":"` + name + `","joined_at":"` + at + `"}` }

const usageReply = "Usage:\n`/stats members` tells how many users there are, and who joined last\n" +
	"`/stats invites` tells how many of them a mentor invited"

// TestWhatTheFiguresSay goes through the reply's text, sentence by sentence.
func TestWhatTheFiguresSay(t *testing.T) {
	t.Parallel()
	utc := startStats(t, nil)
	elsewhere := startStats(t, map[string]string{"TZ_NAME": "Europe/Amsterdam", "SITE": "example.org", "RESPONSE_TYPE": "in_channel"})
	ada := joined("Ada L.", "2019-03-04T18:22:31.000000Z")
	tests := []struct {
		name, text, figures, want string
	}{
		{"many", "members", figuresOf("1342", "418", ada), goodReply},
		{"nobody", "members", figuresOf("0", "0", "null"), "There are currently no users on snowballproject.org."},
		{"nobody, with a latest member all the same", "members", figuresOf("0", "0", ada), "There are currently no users on snowballproject.org."},
		{"one user", "members", figuresOf("1", "0", "null"),
			"There is currently 1 user on snowballproject.org.\n0 of these members were invited by a mentor."},
		{"one invitation", "members", figuresOf("2", "1", "null"),
			"There are currently 2 users on snowballproject.org.\n1 of these members was invited by a mentor."},
		{"plain digits", "members", figuresOf("1234567", "1234567", "null"),
			"There are currently 1234567 users on snowballproject.org.\n1234567 of these members were invited by a mentor."},
		{"invites", "invites", figuresOf("1342", "418", ada), "418 of 1342 users on snowballproject.org were invited by a mentor. That is 31.1%."},
		{"one invite", "invites", figuresOf("8", "1", ada), "1 of 8 users on snowballproject.org was invited by a mentor. That is 12.5%."},
		{"one user, invited", "invites", figuresOf("1", "1", ada), "1 of 1 user on snowballproject.org was invited by a mentor. That is 100%."},
		{"no invites", "invites", figuresOf("8", "0", "null"), "0 of 8 users on snowballproject.org were invited by a mentor. That is 0%."},
		{"invites of nobody", "invites", figuresOf("0", "0", "null"), "There are currently no users on snowballproject.org."},
	}
	for _, tt := range tests {
		utc.serviceSays(200, tt.figures)
		require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: tt.want}, readMessage(t, utc.say(tt.text).body), tt.name)
	}
	latest := func(h *statsHost, name, at string) string {
		h.serviceSays(200, figuresOf("9", "2", joined(name, at)))
		lines := strings.Split(readMessage(t, h.say("members").body).Text, "\n")
		require.Len(t, lines, 3)
		return lines[2]
	}
	for day, want := range map[string]string{"01": "1st", "02": "2nd", "03": "3rd", "04": "4th", "11": "11th", "12": "12th", "13": "13th",
		"21": "21st", "22": "22nd", "23": "23rd", "24": "24th", "31": "31st"} {
		require.Equal(t, "The most recent member is Ada and they joined on *March "+want+", 2019*.", latest(utc, "Ada", "2019-03-"+day+"T12:00:00Z"))
	}
	const late = "2019-03-04T23:30:00Z"
	require.Contains(t, latest(utc, "Ada", late), "*March 4th, 2019*")
	require.Contains(t, latest(elsewhere, "Ada", late), "*March 5th, 2019*")
	require.Contains(t, latest(elsewhere, "Ada", "2019-12-31T23:00:00Z"), "*January 1st, 2020*")
	for name, want := range map[string]string{
		"<!channel>":             "&lt;!channel&gt;",
		"<@U123>":                "&lt;@U123&gt;",
		"*bold*":                 "*bold*",
		"<https://a.example|A>":  "&lt;https://a.example|A&gt;",
		`a\nb\r\nc\u0000d\u2028`: "a b  c d ",
		"A & B":                  "A &amp; B",
		strings.Repeat("é", 81):  strings.Repeat("é", 80),
		strings.Repeat("<", 81):  strings.Repeat("&lt;", 80),
	} {
		require.Equal(t, "The most recent member is "+want+" and they joined on *March 4th, 2019*.", latest(utc, name, "2019-03-04T12:00:00Z"))
	}
	elsewhere.serviceSays(200, figuresOf("2", "1", "null"))
	require.Equal(t, goslack.WebhookMessage{ResponseType: "in_channel", Text: "There are currently 2 users on example.org.\n" +
		"1 of these members was invited by a mentor."}, readMessage(t, elsewhere.say("members").body))
	for text, want := range map[string]string{"help": usageReply, "x": "Sorry, unknown statistic \"x\".\n" + usageReply} {
		require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: want}, readMessage(t, elsewhere.say(text).body), "in_channel is for figures")
	}
}

// TestWhatPeopleType is the table's rows about the command's text.
func TestWhatPeopleType(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	for text, want := range map[string]string{
		"members":               goodReply,
		" Members  ":            goodReply,
		"MEMBERS":               goodReply,
		"":                      usageReply,
		"  ":                    usageReply,
		"help":                  usageReply,
		" HELP":                 usageReply,
		"revenue":               "Sorry, unknown statistic \"revenue\".\n" + usageReply,
		"members now":           "Sorry, unknown statistic \"members now\".\n" + usageReply,
		"<!channel> & *you*\n":  "Sorry, unknown statistic \"&lt;!channel&gt; &amp; *you*\".\n" + usageReply,
		strings.Repeat("<", 41): "Sorry, unknown statistic \"" + strings.Repeat("&lt;", 40) + "\".\n" + usageReply,
		"ssl_check=1&x":         "Sorry, unknown statistic \"ssl_check=1&amp;x\".\n" + usageReply,
	} {
		got := h.say(text)
		require.Equal(t, 200, got.status, text)
		require.Equal(t, "application/json", got.header.Get("Content-Type"), text)
		require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: want}, readMessage(t, got.body), text)
	}
	for _, token := range []string{"", "right or wrong"} { // Slack deprecates it, and nobody looks at it
		form := url.Values{"command": {"/stats"}, "text": {"members"}, "token": {token}}
		require.Equal(t, goodReply, readMessage(t, h.command(form).body).Text)
	}
}

// TestWhatTheServiceDoesWrong is the table's rows about the statistics service.
func TestWhatTheServiceDoesWrong(t *testing.T) {
	t.Parallel()
	const (
		unreadable  = "The statistics service gave an answer I can't read."
		notSetUp    = "Statistics are not set up correctly."
		unavailable = "Statistics are unavailable right now. Try again in a minute."
	)
	h := startStats(t, nil)
	ada := joined("Ada", "2019-03-04T18:22:31Z")
	tests := []struct {
		name   string
		status int
		body   string
		want   string
		log    string
	}{
		{"more invitations than members", 200, figuresOf("1", "2", ada), unreadable, "invited_by_mentor_count is above members_count"},
		{"a negative count", 200, figuresOf("-1", "-1", ada), unreadable, "a count is negative"},
		{"a string for a number", 200, figuresOf(`"12"`, "1", ada), unreadable, "members_count has the wrong type"},
		{"missing data", 200, `{"meta":{}}`, unreadable, "members_count is missing"},
		{"a missing field", 200, `{"data":{"members_count":3,"latest_member":null}}`, unreadable, "invited_by_mentor_count is missing"},
		{"joined_at is not a date", 200, figuresOf("3", "1", joined("Ada", "yesterday")), unreadable, "joined_at is not a date"},
		{"no JSON", 200, "<html>", unreadable, "not the JSON it should be"},
		{"nothing", 200, "", unreadable, "not the JSON it should be"},
		{"an answer as long as one may be", 200, strings.Repeat(" ", 6<<20), unreadable, "not the JSON it should be"},
		{"an answer that is too long", 200, strings.Repeat(" ", 6<<20+1), unreadable, "too_large"},
		{"deep JSON", 200, strings.Repeat(`{"data":`, 1<<18), unreadable, "not the JSON it should be"},
		{"401", 401, `{"message":"Unauthenticated."}`, notSetUp, `"status":"401"`},
		{"403", 403, `{"message":"This action is unauthorized."}`, notSetUp, `"status":"403"`},
		{"404", 404, `{"message":""}`, notSetUp, `"status":"404"`},
		{"422", 422, `{"message":"","errors":{"field":["x"]}}`, notSetUp, `"status":"422"`},
		{"429", 429, `{"message":"Too Many Attempts."}`, unavailable, `"status":"429"`},
		{"500", 500, `{"message":"Server Error"}`, unavailable, `"status":"500"`},
		{"503 with a page", 503, "<html>", unavailable, `"status":"503"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.serviceSays(tt.status, tt.body)
			for _, text := range []string{"members", "invites"} {
				got := h.say(text)
				require.Equal(t, 200, got.status)
				require.Equal(t, goslack.WebhookMessage{ResponseType: "ephemeral", Text: tt.want}, readMessage(t, got.body))
				require.Contains(t, h.why(got), tt.log)
			}
		})
	}
	t.Run("a redirect is not followed", func(t *testing.T) {
		h.serviceDoes(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/api/stats/members", http.StatusFound)
		})
		got := h.say("members")
		require.Equal(t, notSetUp, readMessage(t, got.body).Text)
		require.Contains(t, h.why(got), `"status":"302"`)
	})
	t.Run("an answer that breaks off", func(t *testing.T) {
		h.serviceDoes(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(goodFigures[:20]))
			panic(http.ErrAbortHandler)
		})
		got := h.say("members")
		require.Equal(t, unavailable, readMessage(t, got.body).Text)
		require.Contains(t, h.why(got), `"kind":"unavailable"`)
	})
}

// TestRequestsThatAreNoCommandsGetAStatus: what a person behind Slack can never
// cause, which is why it may be a status.
func TestRequestsThatAreNoCommandsGetAStatus(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		got := h.do(h.request(method, "/slack/stats", ""))
		require.Equal(t, http.StatusMethodNotAllowed, got.status, method)
		require.Equal(t, "POST", got.header.Get("Allow"), method)
	}
	for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded2", "multipart/form-data; boundary=x"} {
		got := h.signed(contentType, `{"text":"members"}`)
		require.Equal(t, reply{http.StatusUnsupportedMediaType, got.header, ""}, got, contentType)
	}
	got := h.signed(formType, "text=members")
	require.Equal(t, reply{http.StatusBadRequest, got.header, ""}, got, "no command")
	got = h.signed(formType+"; charset=utf-8", "command=/stats&text="+strings.Repeat("x", 64<<10-20))
	require.Equal(t, 200, got.status, "64 KiB")
	got = h.signed(formType, "command=/stats&text="+strings.Repeat("x", 64<<10-19))
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
}

// TestWhatSlackAsksByItself is its certificate probe, which nobody has to sign,
// and the challenge with which it tries a URL for events.
func TestWhatSlackAsksByItself(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	probe := h.request("POST", "/slack/stats", "ssl_check=1&token=legacy-fixed-token")
	probe.Header.Set("Content-Type", formType)
	for _, got := range []reply{h.do(probe), h.signed(formType, "ssl_check=1&token=legacy-fixed-token")} {
		require.Equal(t, reply{200, got.header, ""}, got)
		require.NotContains(t, h.logs.String(), got.header.Get("X-Spore-Request-Id"), "it costs no sandbox")
	}
	const hello = `{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	event, err := slackevents.ParseEvent([]byte(hello), slackevents.OptionNoVerifyToken())
	require.NoError(t, err)
	require.Equal(t, slackevents.URLVerification, event.Type, "what the client library takes for one")
	got := h.signed("application/json", hello)
	require.Equal(t, 200, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.JSONEq(t, `{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}`, got.body)
	unsigned := h.request("POST", "/slack/stats", hello)
	unsigned.Header.Set("Content-Type", "application/json")
	got = h.do(unsigned)
	require.Equal(t, reply{401, got.header, ""}, got, "verified first")
	refused := h.logged("slack request refused", 1)[0]
	require.Equal(t, got.header.Get("X-Spore-Request-Id"), refused["request_id"])
	require.Equal(t, "missing_header", refused["reason"])
}
