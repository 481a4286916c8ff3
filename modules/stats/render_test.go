package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"spore/guest/slack"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func TestReplies(t *testing.T) {
	at := func(s string) time.Time {
		joined, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return joined
	}
	ada := &member{"Ada L.", at("2019-03-04T18:22:31.000000Z")}
	tests := []struct {
		name string
		f    figures
		zone string
		want string
	}{
		{"the usual one", figures{1342, 418, ada}, "UTC",
			"There are currently 1342 users on snowballproject.org.\n" +
				"418 of these members were invited by a mentor.\n" +
				"The most recent member is Ada L. and they joined on *March 4th, 2019*."},
		{"one user", figures{1, 0, ada}, "UTC",
			"There is currently 1 user on snowballproject.org.\n" +
				"0 of these members were invited by a mentor.\n" +
				"The most recent member is Ada L. and they joined on *March 4th, 2019*."},
		{"one invitation", figures{2, 1, nil}, "UTC",
			"There are currently 2 users on snowballproject.org.\n1 of these members was invited by a mentor."},
		{"nobody", figures{0, 0, nil}, "UTC", "There are currently no users on snowballproject.org."},
		{"nobody, and a member all the same", figures{0, 0, ada}, "UTC", "There are currently no users on snowballproject.org."},
		{"plain digits", figures{1234567, 1234567, nil}, "UTC",
			"There are currently 1234567 users on snowballproject.org.\n1234567 of these members were invited by a mentor."},
		{"the next day in Amsterdam", figures{2, 1, &member{"X", at("2019-03-04T23:30:00Z")}}, "Europe/Amsterdam",
			"There are currently 2 users on snowballproject.org.\n1 of these members was invited by a mentor.\n" +
				"The most recent member is X and they joined on *March 5th, 2019*."},
		{"the year before in New York", figures{2, 0, &member{"X", at("2020-01-01T03:00:00+01:00")}}, "America/New_York",
			"There are currently 2 users on snowballproject.org.\n0 of these members were invited by a mentor.\n" +
				"The most recent member is X and they joined on *December 31st, 2019*."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, renderMembers(tt.f, "snowballproject.org", zone(t, tt.zone)))
		})
	}
}

func TestRepliesAboutInvites(t *testing.T) {
	tests := []struct {
		name string
		f    figures
		want string
	}{
		{"the usual one", figures{1342, 418, nil}, "418 of 1342 users on example.org were invited by a mentor. That is 31.1%."},
		{"one invitation", figures{8, 1, nil}, "1 of 8 users on example.org was invited by a mentor. That is 12.5%."},
		{"none", figures{1342, 0, nil}, "0 of 1342 users on example.org were invited by a mentor. That is 0%."},
		{"all", figures{7, 7, nil}, "7 of 7 users on example.org were invited by a mentor. That is 100%."},
		{"one user, invited", figures{1, 1, nil}, "1 of 1 user on example.org was invited by a mentor. That is 100%."},
		{"one user, not invited", figures{1, 0, nil}, "0 of 1 user on example.org were invited by a mentor. That is 0%."},
		{"nobody", figures{0, 0, nil}, "There are currently no users on example.org."},
		{"a thousandth", figures{1000, 1, nil}, "1 of 1000 users on example.org was invited by a mentor. That is 0.1%."},
		{"less than that", figures{1001, 1, nil}, "1 of 1001 users on example.org was invited by a mentor. That is less than 0.1%."},
		{"all but one", figures{1001, 1000, nil}, "1000 of 1001 users on example.org were invited by a mentor. That is more than 99.9%."},
		{"as many as fit", figures{math.MaxInt64, math.MaxInt64 - 1, nil},
			"9223372036854775806 of 9223372036854775807 users on example.org were invited by a mentor. That is more than 99.9%."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, renderInvites(tt.f, "example.org", time.UTC))
		})
	}
}

func TestHostileNames(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"a mention of everybody", "<!channel>", "&lt;!channel&gt;"},
		{"a mention of a user", "<@U123>", "&lt;@U123&gt;"},
		{"a link with a false label", "<https://evil.example|Ada>", "&lt;https://evil.example|Ada&gt;"},
		{"bold is left alone", "*bold*", "*bold*"},
		{"an entity is escaped again", "&lt;!here&gt;", "&amp;lt;!here&amp;gt;"},
		{"line breaks", "a\nb\r\nc\u2028d\u2029e\u0085f", "a b  c d e f"},
		{"control characters", "a\x00b\x1bc\x7fd\te", "a b c d e"},
		{"a reversal of the writing", "a\u202eb\u2066c", "a b c"},
		{"bytes that are no UTF-8", "a\xffb", "a\ufffdb"},
		{"80 characters", strings.Repeat("é", 80), strings.Repeat("é", 80)},
		{"81 characters", strings.Repeat("é", 80) + "x", strings.Repeat("é", 80)},
		{"an escape at the cut", strings.Repeat("a", 79) + "<<", strings.Repeat("a", 79) + "&lt;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, harmless(tt.in, maxName))
		})
	}
}

func TestOrdinals(t *testing.T) {
	want := strings.Fields("1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th 13th 14th 15th 16th 17th 18th 19th 20th " +
		"21st 22nd 23rd 24th 25th 26th 27th 28th 29th 30th 31st")
	for i, w := range want {
		got := date(time.Date(2024, time.January, i+1, 0, 0, 0, 0, time.UTC))
		require.Equal(t, "January "+w+", 2024", got)
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("<!channel>\n")
	f.Add("\xff\u202e&amp;")
	f.Fuzz(func(t *testing.T, s string) {
		for _, limit := range []int{maxName, maxWord} {
			requireHarmless(t, harmless(s, limit), s, limit)
		}
	})
}

// requireHarmless checks what got must hold to whatever s is, and that the reader
// still sees s: its first limit characters, with spaces for what has no place in a line.
func requireHarmless(t *testing.T, got, s string, limit int) {
	t.Helper()
	require.True(t, utf8.ValidString(got))
	require.NotContains(t, got, "<")
	require.NotContains(t, got, ">")
	shown := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(got)
	require.Equal(t, got, slack.Escape(shown), "every & begins an escape")
	want, is := []rune(s), []rune(shown)
	require.Len(t, is, min(len(want), limit))
	for i, r := range is {
		require.False(t, unicode.IsControl(r))
		if r != ' ' {
			require.Equal(t, want[i], r)
		}
	}
}

var replyLines = regexp.MustCompile(`^There (is|are) currently (\d+) (user|users) on example\.org\.\n` +
	`(\d+) of these members (was|were) invited by a mentor\.\n` +
	`The most recent member is (.*) and they joined on \*(\w+ \d+)(st|nd|rd|th), (\d{4})\*\.$`)

// FuzzMembers reads the reply back: whatever the figures, it tells them.
func FuzzMembers(f *testing.F) {
	f.Add(int64(1342), int64(418), "Ada L.", int64(1551723751), uint8(0))
	f.Add(int64(1), int64(1), "and they joined on *", int64(-1), uint8(1))
	zones := []*time.Location{time.UTC, zone(f, "Europe/Amsterdam"), zone(f, "America/New_York"), zone(f, "Pacific/Kiritimati")}
	f.Fuzz(func(t *testing.T, count, invited int64, name string, unix int64, in uint8) {
		if count < 1 || invited < 0 || invited > count || unix < -30e9 || unix > 200e9 {
			t.Skip("years of four digits, and counts that decode lets through")
		}
		tz, joined := zones[int(in)%len(zones)], time.Unix(unix, 0)
		m := replyLines.FindStringSubmatch(renderMembers(figures{count, invited, &member{name, joined}}, "example.org", tz))
		require.NotNil(t, m)
		one := map[bool][]string{true: {"is", "user", "was"}, false: {"are", "users", "were"}}
		require.Equal(t, []string{one[count == 1][0], number(count), one[count == 1][1], number(invited), one[invited == 1][2]}, m[1:6])
		require.Equal(t, joined.In(tz).Format("January 2 2006"), m[7]+" "+m[9])
		requireHarmless(t, m[6], name, maxName)
	})
}

func FuzzShare(f *testing.F) {
	f.Add(int64(418), int64(1342))
	f.Fuzz(func(t *testing.T, part, whole int64) {
		if whole < 1 || part < 0 || part > whole {
			t.Skip("no share")
		}
		got := share(part, whole)
		require.Equal(t, part == 0, got == "0%")
		require.Equal(t, part == whole, got == "100%")
		digits := strings.TrimLeft(strings.TrimSuffix(got, "%"), "abcdefghijklmnopqrstuvwxyz ")
		shown, err := strconv.ParseFloat(digits, 64)
		require.NoError(t, err)
		require.InDelta(t, 100*float64(part)/float64(whole), shown, 0.1000001)
	})
}
