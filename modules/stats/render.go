package main

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"spore/guest/slack"
)

// How much of foreign text is shown, in characters.
const (
	maxName = 80
	maxWord = 40
)

// render writes the reply as Slack's mrkdwn.
func render(f figures, site string, zone *time.Location) string {
	if f.count == 0 {
		return "There are currently no users on " + site + "."
	}
	lines := []string{
		"There " + choose(f.count, "is", "are") + " currently " + number(f.count) + " " +
			choose(f.count, "user", "users") + " on " + site + ".",
		number(f.invited) + " of these members " + choose(f.invited, "was", "were") + " invited by a mentor.",
	}
	if f.latest != nil {
		lines = append(lines, "The most recent member is "+harmless(f.latest.name, maxName)+
			" and they joined on *"+date(f.latest.joined.In(zone))+"*.")
	}
	return strings.Join(lines, "\n")
}

func choose(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// date writes t as in March 4th, 2019.
func date(t time.Time) string {
	return t.Month().String() + " " + strconv.Itoa(t.Day()) + ordinal(t.Day()) + ", " + strconv.Itoa(t.Year())
}

func ordinal(day int) string {
	if day >= 11 && day <= 13 {
		return "th"
	}
	switch day % 10 {
	case 1:
		return "st"
	case 2:
		return "nd"
	case 3:
		return "rd"
	}
	return "th"
}

// harmless makes foreign text fit for a message. It is cut before it is
// escaped, so that no escape is cut in two.
func harmless(s string, limit int) string { return slack.Escape(clean(s, limit)) }

// clean turns line breaks, control characters and what changes the direction of
// writing into spaces, and keeps limit characters.
func clean(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if limit == 0 {
			break
		}
		limit--
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
