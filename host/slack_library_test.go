package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goslack "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// slackApp is an app as people write it with Slack's Go library: it verifies the
// request, reads the command and answers.
func slackApp(t *testing.T, secret string, commands chan<- goslack.SlashCommand) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verifier, err := goslack.NewSecretsVerifier(r.Header, secret)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(io.TeeReader(r.Body, &verifier))
		command, err := goslack.SlashCommandParse(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := verifier.Ensure(); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		commands <- command
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(goslack.WebhookMessage{ResponseType: "in_channel", Text: "*Hi* &lt;" + command.UserID + "&gt;"})
	}))
	t.Cleanup(app.Close)
	return app
}

// TestInvokeIsSlackToSlacksLibrary sends commands with spore invoke to an app that
// knows nothing of spore.
func TestInvokeIsSlackToSlacksLibrary(t *testing.T) {
	t.Parallel()
	commands := make(chan goslack.SlashCommand, 1)
	app := slackApp(t, signingSecret, commands)
	dir := newDir(t, "[secrets]\nfile = \"secrets.toml\"\n"+fmt.Sprintf(statsRoute, `env = { STATS_URL = "https://stats.test" }`))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.toml"), []byte(fmt.Sprintf("SLACK_SIGNING_SECRET = %q\nSTATS_API_TOKEN = %q\n", signingSecret, apiToken)), 0o600))
	invoke := func(url, command string) (string, error) {
		cmd := newRoot()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{"--config", filepath.Join(dir, "functions.toml"), "invoke", "stats", "--slack", command, "--host", url,
			"--response-url", "https://hooks.slack.com/commands/T1/2/secret-part?a=b&c"})
		err := cmd.ExecuteContext(t.Context())
		for _, private := range []string{signingSecret, "secret-part", "v0="} {
			require.NotContains(t, out.String()+fmt.Sprint(err), private)
		}
		return out.String(), err
	}
	triggers := map[string]bool{}
	for _, typed := range []string{"/stats members", "/stats", "/stats   two  spaces ", "/other é 🙂 & = + % %2F ; <@U1> \"x\"", "/stats members"} {
		out, err := invoke(app.URL, typed)
		require.NoError(t, err, out)
		require.Equal(t, "Visible to everybody in #general\n*Hi* <U000>\n", out)
		name, text, _ := strings.Cut(typed, " ")
		got := <-commands
		triggers[got.TriggerID] = true
		require.Equal(t, goslack.SlashCommand{
			TeamID: "T000", TeamDomain: "spore", ChannelID: "C000", ChannelName: "general", UserID: "U000", UserName: "you",
			Command: name, Text: text, APIAppID: "A000", TriggerID: got.TriggerID,
			ResponseURL: "https://hooks.slack.com/commands/T1/2/secret-part?a=b&c",
		}, got)
	}
	require.Len(t, triggers, 5, "each command is one of its own")
	out, err := invoke(slackApp(t, "another secret", commands).URL, "/stats members")
	require.Equal(t, abi.Denied, function.KindOf(err))
	require.Equal(t, "401 Unauthorized\n", out)
	_, err = invoke(app.URL, "stats members")
	require.EqualError(t, err, `--slack "stats members" is not a slash command; write it as it is typed, like "/stats members"`)
	require.Equal(t, 2, exitCode(err))
	require.Empty(t, commands)
}

// TestSlacksLibraryReadsWhatTheRouteAnswers, as one message and as the other.
func TestSlacksLibraryReadsWhatTheRouteAnswers(t *testing.T) {
	t.Parallel()
	h := startStats(t, nil)
	for _, text := range []string{"members", "invites", "help", "<!channel> & \"é\""} {
		got := h.say(text)
		webhook := readMessage(t, got.body)
		var msg goslack.Msg
		dec := json.NewDecoder(strings.NewReader(got.body))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&msg))
		require.Equal(t, goslack.Msg{ResponseType: goslack.ResponseTypeEphemeral, Text: webhook.Text}, msg)
		require.Equal(t, goslack.ResponseTypeEphemeral, webhook.ResponseType)
	}
}
