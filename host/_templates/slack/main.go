// NAME answers the Slack command /NAME. The host has checked Slack's signature
// before a command comes here, and keeps the signing secret to itself.
package main

import (
	"context"
	"math/rand/v2"
	"strings"

	"spore/guest"
	"spore/guest/slack"
)

func main() { guest.Start(handle) }

const usage = "Usage: `/NAME pick tea, coffee` picks one of them, for everybody to see."

// handle answers within the three seconds that Slack waits. Slack shows every
// status but 200 as a failure, so what the user typed wrong is answered with 200.
func handle(_ context.Context, ev guest.Event) (guest.Result, error) {
	cmd, err := slack.ParseCommand(ev)
	if err != nil {
		return guest.Result{Status: 400}, nil // not from Slack's composer
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(cmd.Text), " ")
	switch strings.ToLower(word) {
	case "", "help":
		return onlyToYou(usage), nil
	case "pick":
		return pick(rest), nil
	}
	// What somebody typed is foreign text: without Escape it could mention people.
	return onlyToYou("Sorry, I don't know \"" + slack.Escape(word) + "\".\n" + usage), nil
}

func pick(list string) guest.Result {
	var choices []string
	for choice := range strings.SplitSeq(list, ",") {
		if choice = strings.TrimSpace(choice); choice != "" {
			choices = append(choices, choice)
		}
	}
	if len(choices) == 0 {
		return onlyToYou("There is nothing to pick from.\n" + usage)
	}
	picked := choices[rand.IntN(len(choices))]
	return slack.Message{ResponseType: slack.InChannel, Text: "I pick *" + slack.Escape(picked) + "*."}.Result()
}

func onlyToYou(text string) guest.Result {
	return slack.Message{ResponseType: slack.Ephemeral, Text: text}.Result()
}
