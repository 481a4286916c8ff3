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

// renderMembers writes the reply to "members" as Slack's mrkdwn.
func renderMembers(f figures, site string, zone *time.Location) string {
	if f.count == 0 {
		return nobody(site)
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

// renderInvites writes the reply to "invites".
func renderInvites(f figures, site string, _ *time.Location) string {
	if f.count == 0 {
		return nobody(site)
	}
	return number(f.invited) + " of " + number(f.count) + " " + choose(f.count, "user", "users") + " on " + site + " " +
		choose(f.invited, "was", "were") + " invited by a mentor. That is " + share(f.invited, f.count) + "."
}

func nobody(site string) string { return "There are currently no users on " + site + "." }

// share writes part of whole in percent, to a tenth, as people follow it from week
// to week. Only nothing is 0% and only everything is 100%.
func share(part, whole int64) string {
	percent := 100 * float64(part) / float64(whole)
	switch {
	case part == 0:
		return "0%"
	case part == whole:
		return "100%"
	case percent < 0.1:
		return "less than 0.1%"
	case percent > 99.9:
		return "more than 99.9%"
	}
	return strconv.FormatFloat(percent, 'f', 1, 64) + "%"
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
