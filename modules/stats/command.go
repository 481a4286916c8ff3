package main

import (
	"context"
	"strings"

	"spore/guest/slack"
)

// subcommands are the words after /stats. A new statistic is a new row.
var subcommands = []subcommand{
	{"members", "how many users there are, and who joined last", (*stats).members},
	{"invites", "how many of them a mentor invited", (*stats).invites},
}

// subcommand is one statistic. run may take as long as ctx allows.
type subcommand struct {
	name  string
	about string // for the usage, what it tells
	run   func(s *stats, ctx context.Context) slack.Message
}

func usage() string {
	lines := []string{"Usage:"}
	for _, sub := range subcommands {
		lines = append(lines, "`/stats "+sub.name+"` tells "+sub.about)
	}
	return strings.Join(lines, "\n")
}

// What the user reads when there are no figures. The log says more.
const (
	textFetching    = "Fetching..."
	textUnreadable  = "The statistics service gave an answer I can't read."
	textNotSetUp    = "Statistics are not set up correctly."
	textUnavailable = "Statistics are unavailable right now. Try again in a minute."
)

func ephemeral(text string) slack.Message {
	return slack.Message{ResponseType: slack.Ephemeral, Text: text}
}
