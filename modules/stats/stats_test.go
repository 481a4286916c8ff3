package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/slack"
)

const (
	token       = "s3cret-token"
	responseURL = "https://hooks.slack.com/commands/T0001/1234/s3cret-path"
)

// host stands in for the sandbox's host and keeps what it saw.
type host struct {
	upstream func(ctx context.Context, req *fetch.Request) (*fetch.Response, error)
	slack    func(try int) (*fetch.Response, error) // answers posts to a response_url

	calls     []fetch.Request
	posts     []fetch.Request
	answers   []guest.Result // given with Respond
	answered  time.Duration  // from the start to Respond
	started   time.Time
	secretErr error
	log       strings.Builder
}

// errDenied is a refusal as guest.KindOf finds it, made the only way there is
// outside a sandbox: by asking the SDK for what it must deny.
var errDenied = func() error {
	_, err := fetch.Get(context.Background(), "http://denied.example")
	return err
}()

func (h *host) function(t testing.TB) *stats {
	t.Helper()
	cfg, err := readConfig(func(name string) string {
		return map[string]string{"STATS_URL": "https://stats.example/", "RESPONSE_TYPE": "in_channel"}[name]
	})
	require.NoError(t, err)
	h.started = time.Now()
	return &stats{
		config: cfg,
		call: func(ctx context.Context, req *fetch.Request) (*fetch.Response, error) {
			if req.Method == "POST" {
				h.posts = append(h.posts, *req)
				return h.slack(len(h.posts))
			}
			h.calls = append(h.calls, *req)
			return h.upstream(ctx, req)
		},
		secret: func(name string) (string, error) {
			if name != "STATS_API_TOKEN" {
				return "", fmt.Errorf("another secret: %s", name)
			}
			return token, h.secretErr
		},
		respond: func(res guest.Result) error {
			h.answers = append(h.answers, res)
			h.answered = time.Since(h.started)
			return nil
		},
		log: func(_ int32, message string, kv ...string) { fmt.Fprintln(&h.log, message, kv) },
	}
}

func answering(status int, body string) func(context.Context, *fetch.Request) (*fetch.Response, error) {
	return func(context.Context, *fetch.Request) (*fetch.Response, error) {
		return &fetch.Response{Status: status, Body: []byte(body)}, nil
	}
}

func command(text string) guest.Event {
	form := url.Values{"command": {"/stats"}, "text": {text}, "response_url": {responseURL}}
	return guest.Event{
		Method:      "POST",
		ContentType: "application/x-www-form-urlencoded",
		Body:        []byte(form.Encode()),
	}
}

func message(t testing.TB, body []byte) slack.Message {
	t.Helper()
	var m slack.Message
	require.NoError(t, json.Unmarshal(body, &m))
	return m
}

const usualReply = "There are currently 1342 users on snowballproject.org.\n" +
	"418 of these members were invited by a mentor.\n" +
	"The most recent member is Ada L. and they joined on *March 4th, 2019*."

func TestCommands(t *testing.T) {
	help := "Usage:\n`/stats members` tells how many users there are, and who joined last\n" +
		"`/stats invites` tells how many of them a mentor invited"
	tests := []struct {
		name, text, want, responseType string
	}{
		{"members", "members", usualReply, "in_channel"},
		{"members in capitals and spaces", " Members  ", usualReply, "in_channel"},
		{"invites", "INVITES", "418 of 1342 users on snowballproject.org were invited by a mentor. That is 31.1%.", "in_channel"},
		{"nothing", "", help, "ephemeral"},
		{"spaces", "  ", help, "ephemeral"},
		{"help", "Help", help, "ephemeral"},
		{"another word", "revenue", "Sorry, unknown statistic \"revenue\".\n" + help, "ephemeral"},
		{"members and more", "members now", "Sorry, unknown statistic \"members now\".\n" + help, "ephemeral"},
		{"a hostile word", "<!channel>\n&", "Sorry, unknown statistic \"&lt;!channel&gt; &amp;\".\n" + help, "ephemeral"},
		{"a long word", strings.Repeat("é", 41), "Sorry, unknown statistic \"" + strings.Repeat("é", 40) + "\".\n" + help, "ephemeral"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{upstream: answering(200, string(sample(t)))}
			res, err := h.function(t).handle(t.Context(), command(tt.text))
			require.NoError(t, err)
			require.Zero(t, res.Status)
			require.Equal(t, "application/json", res.ContentType)
			require.Equal(t, slack.Message{ResponseType: tt.responseType, Text: tt.want}, message(t, res.Body))
			require.Empty(t, h.log.String())
		})
	}
}

func TestTheWarmUpGoesAllTheWay(t *testing.T) {
	h := &host{}
	res, err := h.function(t).rehearsal().handle(t.Context(), guest.Event{ContentType: "application/x-www-form-urlencoded", Body: sampleCommand})
	require.NoError(t, err)
	require.Contains(t, message(t, res.Body).Text, "2 users")
	require.Empty(t, h.log.String())
	h.function(t).warm()
	require.Empty(t, h.calls)
}

func TestTheSampleEventIsACommand(t *testing.T) {
	form, err := os.ReadFile("events/members.form")
	require.NoError(t, err)
	h := &host{upstream: answering(200, string(sample(t)))}
	res, err := h.function(t).handle(t.Context(), guest.Event{ContentType: "application/x-www-form-urlencoded", Body: form})
	require.NoError(t, err)
	require.Equal(t, usualReply, message(t, res.Body).Text)
}

func TestTheEndpointIsAskedAsItWantsToBe(t *testing.T) {
	h := &host{upstream: answering(200, string(sample(t)))}
	_, err := h.function(t).handle(t.Context(), command("members"))
	require.NoError(t, err)
	require.Equal(t, []fetch.Request{{
		URL: "https://stats.example/api/stats/members",
		Headers: guest.Pairs{
			{Name: "accept", Value: "application/json"},
			{Name: "authorization", Value: "Bearer " + token},
		},
		Timeout: 30 * time.Second,
	}}, h.calls)
}

func TestRequestsThatAreNoCommands(t *testing.T) {
	tests := []struct {
		name   string
		ev     guest.Event
		status uint32
		allow  string
	}{
		{"GET", guest.Event{Method: "GET"}, 405, "POST"},
		{"JSON", guest.Event{Method: "POST", ContentType: "application/json", Body: []byte("{}")}, 415, ""},
		{"no content type", guest.Event{Method: "POST"}, 415, ""},
		{"an empty form", guest.Event{Method: "POST", ContentType: "application/x-www-form-urlencoded"}, 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := new(host).function(t).handle(t.Context(), tt.ev)
			require.NoError(t, err)
			require.Equal(t, tt.status, res.Status)
			require.Equal(t, tt.allow, res.Headers.Get("Allow"))
			require.Empty(t, res.Body)
		})
	}
}

func TestTroubleUpstreamIsToldGentlyAndLogged(t *testing.T) {
	failing := func(err error) func(context.Context, *fetch.Request) (*fetch.Response, error) {
		return func(context.Context, *fetch.Request) (*fetch.Response, error) { return nil, err }
	}
	tests := []struct {
		name     string
		upstream func(context.Context, *fetch.Request) (*fetch.Response, error)
		want     string
		log      string
	}{
		{"401", answering(401, `{"message":"Unauthenticated."}`), textNotSetUp, "status 401"},
		{"403", answering(403, `{"message":"`+token+`"}`), textNotSetUp, "status 403"},
		{"a redirect to a login page", answering(302, ""), textNotSetUp, "status 302"},
		{"404", answering(404, `{"message":""}`), textNotSetUp, "status 404"},
		{"429", answering(429, `{"message":"Too Many Attempts."}`), textUnavailable, "status 429"},
		{"500", answering(500, `{"message":"Server Error"}`), textUnavailable, "status 500"},
		{"503 with a page", answering(503, `<html>`), textUnavailable, "status 503"},
		{"a call that is not granted", failing(errDenied), textNotSetUp, "kind denied"},
		{"a call that fails", failing(context.DeadlineExceeded), textUnavailable, "kind none"},
		{"an empty 200", answering(200, ""), textUnreadable, wrongJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{upstream: tt.upstream}
			res, err := h.function(t).handle(t.Context(), command("members"))
			require.NoError(t, err)
			require.Equal(t, ephemeral(tt.want), message(t, res.Body))
			require.Contains(t, h.log.String(), tt.log)
			require.NotContains(t, h.log.String(), token)
		})
	}
	for _, tt := range unreadable {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{upstream: answering(200, tt.body)}
			res, err := h.function(t).handle(t.Context(), command("members"))
			require.NoError(t, err)
			require.Equal(t, ephemeral(textUnreadable), message(t, res.Body))
			require.Contains(t, h.log.String(), tt.reason)
		})
	}
}

func TestTheURLPassesAsOneForEvents(t *testing.T) {
	hello := `{"token":"x","challenge":"3eZb","type":"url_verification"}`
	res, err := new(host).function(t).handle(t.Context(), guest.Event{Method: "POST", ContentType: "application/json", Body: []byte(hello)})
	require.NoError(t, err)
	require.Zero(t, res.Status)
	require.Equal(t, "application/json", res.ContentType)
	require.JSONEq(t, `{"challenge":"3eZb"}`, string(res.Body))
}

func TestAMissingTokenMakesNoCall(t *testing.T) {
	require.Equal(t, guest.Denied, guest.KindOf(errDenied))
	h := &host{secretErr: errDenied}
	res, err := h.function(t).handle(t.Context(), command("members"))
	require.NoError(t, err)
	require.Equal(t, ephemeral(textNotSetUp), message(t, res.Body))
	require.Contains(t, h.log.String(), "STATS_API_TOKEN [kind denied]")
	require.Empty(t, h.calls)
}

// slowly answers after d, or with the context's error when that ends first.
func slowly(d time.Duration, status int, body string) func(context.Context, *fetch.Request) (*fetch.Response, error) {
	return func(ctx context.Context, req *fetch.Request) (*fetch.Response, error) {
		select {
		case <-time.After(min(d, req.Timeout)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d > req.Timeout {
			return nil, context.DeadlineExceeded // the host cuts the call
		}
		return &fetch.Response{Status: status, Body: []byte(body)}, nil
	}
}

func TestTheAnswerComesWithinTheBudgetAndTheFiguresLater(t *testing.T) {
	accepted := func(int) (*fetch.Response, error) { return &fetch.Response{Status: 200}, nil }
	refusing := func(status int) func(int) (*fetch.Response, error) {
		return func(int) (*fetch.Response, error) { return &fetch.Response{Status: status}, nil }
	}
	onThird := func(try int) (*fetch.Response, error) {
		if try < 3 {
			time.Sleep(tryTimeout)
			return nil, context.DeadlineExceeded
		}
		return &fetch.Response{Status: 200}, nil
	}
	tests := []struct {
		name     string
		upstream time.Duration
		slack    func(int) (*fetch.Response, error)
		text     string // posted; empty when the answer came in time
		tries    int
		log      string
	}{
		{"just in time", 1999 * time.Millisecond, nil, "", 0, ""},
		{"a little late", 2001 * time.Millisecond, accepted, usualReply, 1, ""},
		{"a service that never answers", time.Hour, accepted, textUnavailable, 1, "cannot reach the statistics service [kind none]\n"},
		{"Slack accepts the third try", 29 * time.Second, onThird, usualReply, 3, ""},
		{"Slack is down", 3 * time.Second, refusing(503), usualReply, 3, "cannot deliver a late answer [reason status 503 tries 3]\n"},
		{"Slack asks for patience", 3 * time.Second, refusing(429), usualReply, 3, "cannot deliver a late answer [reason status 429 tries 3]\n"},
		{"the function may not call Slack", 3 * time.Second, func(int) (*fetch.Response, error) { return nil, errDenied }, usualReply, 1,
			"cannot deliver a late answer [reason denied tries 1]\n"},
		{"the response_url has expired", 3 * time.Second, refusing(404), usualReply, 1, "cannot deliver a late answer [reason status 404 tries 1]\n"},
		{"a redirect is not followed", 3 * time.Second, refusing(302), usualReply, 1, "cannot deliver a late answer [reason status 302 tries 1]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &host{upstream: slowly(tt.upstream, 200, string(sample(t))), slack: tt.slack}
				res, err := h.function(t).handle(t.Context(), command("members"))
				require.NoError(t, err)
				require.Less(t, time.Since(h.started), lateWithin)
				require.Len(t, h.posts, tt.tries)
				require.Equal(t, tt.log, h.log.String())
				if tt.text == "" {
					require.Equal(t, usualReply, message(t, res.Body).Text)
					require.Empty(t, h.answers)
					return
				}
				require.Equal(t, guest.Result{}, res)
				require.Equal(t, 2*time.Second, h.answered)
				require.Len(t, h.answers, 1)
				require.Equal(t, ephemeral("Fetching..."), message(t, h.answers[0].Body))
				for _, post := range h.posts {
					require.Equal(t, responseURL, post.URL)
					require.Equal(t, tt.text, message(t, post.Body).Text)
					require.Equal(t, guest.Pairs{{Name: "content-type", Value: "application/json"}}, post.Headers)
				}
			})
		})
	}
}

func TestWithoutAGoodResponseURLTheBudgetEndsTheMatter(t *testing.T) {
	for _, bad := range []string{"", "http://hooks.slack.com/s3cret-path", "https://evil.example/s3cret-path"} {
		synctest.Test(t, func(t *testing.T) {
			h := &host{upstream: slowly(10*time.Second, 200, string(sample(t)))}
			ev := command("members")
			ev.Body = []byte(strings.Replace(string(ev.Body), url.QueryEscape(responseURL), url.QueryEscape(bad), 1))
			res, err := h.function(t).handle(t.Context(), ev)
			require.NoError(t, err)
			require.Equal(t, 2*time.Second, time.Since(h.started))
			require.Equal(t, ephemeral(textUnavailable), message(t, res.Body))
			require.Empty(t, h.answers)
			require.Empty(t, h.posts)
			require.Contains(t, h.log.String(), "cannot reach the statistics service")
			require.NotContains(t, h.log.String(), "s3cret")
		})
	}
}

func TestAnEventThatEndsStopsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		h := &host{
			upstream: slowly(3*time.Second, 200, string(sample(t))),
			slack:    func(int) (*fetch.Response, error) { return &fetch.Response{Status: 500}, nil },
		}
		_, err := h.function(t).handle(ctx, command("members"))
		require.NoError(t, err)
		require.Len(t, h.posts, 1)
		require.Equal(t, 3500*time.Millisecond, time.Since(h.started))
	})
}

func TestConfiguration(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		err  string
	}{
		{"the least", map[string]string{"STATS_URL": "https://example.org"}, ""},
		{"everything", map[string]string{"STATS_URL": "http://127.0.0.1:8080/base/", "SITE": "example.org", "TZ_NAME": "Europe/Amsterdam",
			"RESPONSE_TYPE": "in_channel", "STATS_BUDGET": "150ms", "SLACK_RESPONSE_HOST": "127.0.0.1:8081"}, ""},
		{"nothing", nil, "STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a URL without a scheme", map[string]string{"STATS_URL": "example.org"},
			"STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a URL with a query", map[string]string{"STATS_URL": "https://example.org?x=1"},
			"STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a URL with an empty query", map[string]string{"STATS_URL": "https://example.org?"},
			"STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a URL with an empty fragment", map[string]string{"STATS_URL": "https://example.org#"},
			"STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a URL with credentials, which no call may have", map[string]string{"STATS_URL": "https://user:pw@example.org"},
			"STATS_URL is not a base URL; set it to one such as https://example.org in the function's env"},
		{"a response type that Slack lacks", map[string]string{"STATS_URL": "https://example.org", "RESPONSE_TYPE": "public"},
			`RESPONSE_TYPE is "public"; set it to ephemeral or in_channel`},
		{"a budget without a unit", map[string]string{"STATS_URL": "https://example.org", "STATS_BUDGET": "2"},
			`STATS_BUDGET is "2"; set it to a duration from 10ms to 2.5s, such as 2s`},
		{"a budget beyond Slack's", map[string]string{"STATS_URL": "https://example.org", "STATS_BUDGET": "3s"},
			`STATS_BUDGET is "3s"; set it to a duration from 10ms to 2.5s, such as 2s`},
		{"no time at all", map[string]string{"STATS_URL": "https://example.org", "STATS_BUDGET": "0s"},
			`STATS_BUDGET is "0s"; set it to a duration from 10ms to 2.5s, such as 2s`},
		{"a zone that does not exist", map[string]string{"STATS_URL": "https://example.org", "TZ_NAME": "Mars/Olympus"},
			"TZ_NAME: unknown time zone Mars/Olympus; set it to a name such as Europe/Amsterdam"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readConfig(func(name string) string { return tt.env[name] })
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
		})
	}
	cfg, err := readConfig(func(name string) string { return tests[0].env[name] })
	require.NoError(t, err)
	require.Equal(t, config{url: "https://example.org", site: "snowballproject.org", zone: time.UTC, responseType: "ephemeral", budget: 2 * time.Second}, cfg)
}

func TestTheREADMEShowsTheCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range []string{"command.go", "members.go", "render.go"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(b)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.Len(t, blocks, 3)
	for _, block := range blocks {
		shown, _, _ := strings.Cut(block, "```")
		require.Contains(t, code.String(), shown)
	}
}

func FuzzForm(f *testing.F) {
	form, err := os.ReadFile("events/members.form")
	require.NoError(f, err)
	f.Add(form)
	f.Add([]byte("command=/stats&text=%3C!channel%3E"))
	f.Add([]byte("command=/stats&text=%ff%00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := &host{upstream: answering(200, string(sample(t)))}
		res, err := h.function(t).handle(t.Context(), guest.Event{ContentType: "application/x-www-form-urlencoded", Body: body})
		require.NoError(t, err)
		if res.Status == 400 {
			return
		}
		require.Zero(t, res.Status)
		require.NotContains(t, message(t, res.Body).Text, "<")
		require.NotContains(t, string(res.Body), token)
	})
}
