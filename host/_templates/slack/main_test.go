package main

import (
	"testing"

	"spore/guest/guesttest"
	"spore/guest/slack"
)

func TestAnswersCommands(t *testing.T) {
	fn := guesttest.Build(t, ".")
	for command, want := range map[string]slack.Message{
		"/NAME":             {ResponseType: slack.Ephemeral, Text: usage},
		"/NAME help":        {ResponseType: slack.Ephemeral, Text: usage},
		"/NAME pick":        {ResponseType: slack.Ephemeral, Text: "There is nothing to pick from.\n" + usage},
		"/NAME pick tea, ,": {ResponseType: slack.InChannel, Text: "I pick *tea*."},
		"/NAME pick <!all>": {ResponseType: slack.InChannel, Text: "I pick *&lt;!all&gt;*."},
		"/NAME <@U1>":       {ResponseType: slack.Ephemeral, Text: "Sorry, I don't know \"&lt;@U1&gt;\".\n" + usage},
	} {
		res := fn.Slack(t, "/", command)
		var got slack.Message
		res.Decode(t, &got)
		if res.Status != 200 || got != want {
			t.Errorf("%s: got %d %+v, want %+v", command, res.Status, got, want)
		}
	}
}

func TestPicksAnyOfTheChoices(t *testing.T) {
	fn := guesttest.Build(t, ".")
	seen := map[string]bool{}
	for range 100 { // that one of two never comes up is as likely as 2^-99
		seen[fn.Slack(t, "/", "/NAME pick tea, coffee").Body] = true
	}
	if len(seen) != 2 {
		t.Errorf("got %d different answers, want 2: %v", len(seen), seen)
	}
}

func TestRefusesWhatIsNoCommand(t *testing.T) {
	fn := guesttest.Build(t, ".")
	if res := fn.Post(t, "/", `{}`); res.Status != 400 {
		t.Errorf("got %d %s, want 400", res.Status, res.Body)
	}
}
