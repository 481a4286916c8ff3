package slack

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

const form = "application/x-www-form-urlencoded"

// bodies returns the real command bodies in testdata by name.
func bodies(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/commands.json")
	require.NoError(t, err)
	var all map[string]string
	require.NoError(t, json.Unmarshal(b, &all))
	require.NotEmpty(t, all)
	return all
}

func TestRealCommandsAreRead(t *testing.T) {
	all := bodies(t)
	got, err := ParseCommand(guest.Event{ContentType: form, Body: []byte(all["doc_roadrunner"])})
	require.NoError(t, err)
	require.Equal(t, Command{
		Command:     "/webhook-collect",
		TeamID:      "T1DC2JH3J",
		ChannelID:   "G8PSS9T3V",
		UserID:      "U2CERLKJA",
		TriggerID:   "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
		ResponseURL: "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN",
	}, got)
	require.NoError(t, CheckResponseURL(got.ResponseURL, ""))

	got, err = ParseCommand(guest.Event{ContentType: form, Body: []byte(all["bolt_hello"])})
	require.NoError(t, err)
	require.Equal(t, "/hello-bolt-js", got.Command)
}

func TestParseCommand(t *testing.T) {
	tests := []struct {
		name        string
		contentType string
		body        string
		text        string
		err         error
	}{
		{"spaces as plus", form, "command=/stats&text=members+please", "members please", nil},
		{"spaces as %20, slash as %2F", form, "command=%2Fstats&text=members%20please", "members please", nil},
		{"a content type with a charset", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "command=/s&text=x", "x", nil},
		{"characters beyond ASCII", form, "command=/s&text=%F0%9F%99%82+%C3%A9", "🙂 é", nil},
		{"the first of two texts", form, "command=/s&text=a&text=b", "a", nil},
		{"no content type", "", "command=/s", "", ErrContentType},
		{"JSON", "application/json", "{}", "", ErrContentType},
		{"a longer content type", form + "2", "command=/s", "", ErrContentType},
		{"an empty body", form, "", "", ErrForm},
		{"no command", form, "text=members", "", ErrForm},
		{"a broken escape", form, "command=/s&text=%zz", "", ErrForm},
		{"a semicolon", form, "command=/s;text=x", "", ErrForm},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd, err := ParseCommand(guest.Event{ContentType: tt.contentType, Body: []byte(tt.body)})
			require.Equal(t, tt.err, err)
			require.Equal(t, tt.text, cmd.Text)
		})
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"<!channel> & <@U123>":     "&lt;!channel&gt; &amp; &lt;@U123&gt;",
		"&amp;":                    "&amp;amp;",
		"*bold* _it_ `code` \"'":   "*bold* _it_ `code` \"'",
		"<https://a.example|safe>": "&lt;https://a.example|safe&gt;",
	} {
		require.Equal(t, want, Escape(in))
	}
}

func TestMessagesAreJSON(t *testing.T) {
	res := Message{InChannel, "a \"b\" &lt;\n\xff"}.Result()
	require.Equal(t, "application/json", res.ContentType)
	require.Zero(t, res.Status)
	var got map[string]string
	require.NoError(t, json.Unmarshal(res.Body, &got))
	require.Equal(t, map[string]string{"response_type": "in_channel", "text": "a \"b\" &lt;\n\ufffd"}, got)
}

func TestCheckResponseURL(t *testing.T) {
	const fake = "127.0.0.1:8081"
	tests := []struct {
		name string
		url  string
		test string
		ok   bool
	}{
		{"Slack's", "https://hooks.slack.com/commands/T1/2/x", "", true},
		{"Slack's while a test host is allowed", "https://hooks.slack.com/commands/T1/2/x", fake, true},
		{"the test host", "http://127.0.0.1:8081/answer", fake, true},
		{"the test host with https", "https://127.0.0.1:8081/answer", fake, true},
		{"the test host when none is allowed", "http://127.0.0.1:8081/answer", "", false},
		{"another port of the test host", "http://127.0.0.1:8082/answer", fake, false},
		{"the test host with credentials", "http://u:p@127.0.0.1:8081/", fake, false},
		{"the test host with another scheme", "ftp://127.0.0.1:8081/", fake, false},
		{"nothing", "", "", false},
		{"nothing while a test host is allowed", "", fake, false},
		{"no host", "https:///commands", "", false},
		{"http", "http://hooks.slack.com/commands/T1", "", false},
		{"another scheme", "ftp://hooks.slack.com/", "", false},
		{"no scheme", "//hooks.slack.com/", "", false},
		{"a port", "https://hooks.slack.com:443/", "", false},
		{"an empty port", "https://hooks.slack.com:/", "", false},
		{"credentials", "https://user:pw@hooks.slack.com/", "", false},
		{"an empty user", "https://@hooks.slack.com/", "", false},
		{"Slack's host as a user", "https://hooks.slack.com@evil.example/", "", false},
		{"a longer host", "https://hooks.slack.com.evil.example/", "", false},
		{"a trailing dot", "https://hooks.slack.com./", "", false},
		{"a backslash", `https://evil.example\@hooks.slack.com/`, "", false},
		{"a line break", "https://hooks.slack.com/\r\nHost: evil", "", false},
		{"an opaque URL", "https:hooks.slack.com", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckResponseURL(tt.url, tt.test)
			if tt.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, errResponseURL, err)
		})
	}
}

func TestChallenge(t *testing.T) {
	hello := []byte(`{"token":"t","challenge":"3eZb\"<","type":"url_verification"}`)
	res, ok := Challenge(guest.Event{ContentType: "application/json; charset=utf-8", Body: hello})
	require.True(t, ok)
	require.Equal(t, "application/json", res.ContentType)
	require.JSONEq(t, `{"challenge":"3eZb\"<"}`, string(res.Body))
	for _, body := range []string{"", "null", `"url_verification"`, `{"type":"event_callback","challenge":"x"}`, `{"type":"url_verification"`} {
		_, ok := Challenge(guest.Event{ContentType: "application/json", Body: []byte(body)})
		require.False(t, ok, body)
	}
	for _, contentType := range []string{"", form, "text/plain", "application/json5"} {
		_, ok := Challenge(guest.Event{ContentType: contentType, Body: hello})
		require.False(t, ok, contentType)
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		cmd, err := ParseCommand(guest.Event{ContentType: form, Body: body})
		if err != nil {
			require.Equal(t, Command{}, cmd)
			return
		}
		require.NotEmpty(t, cmd.Command)
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
	f.Add("\xff\u2028<\"")
	f.Fuzz(func(t *testing.T, challenge string) {
		body, err := json.Marshal(map[string]string{"type": "url_verification", "challenge": challenge})
		require.NoError(t, err)
		var sent, back map[string]string
		require.NoError(t, json.Unmarshal(body, &sent))
		res, ok := Challenge(guest.Event{ContentType: "application/json", Body: body})
		require.True(t, ok)
		require.NoError(t, json.Unmarshal(res.Body, &back))
		require.Equal(t, map[string]string{"challenge": sent["challenge"]}, back)
	})
}
