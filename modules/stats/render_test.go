package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
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
			require.Equal(t, tt.want, render(tt.f, "snowballproject.org", zone(t, tt.zone)))
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
		got := harmless(s, maxName)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "<")
		require.NotContains(t, got, ">")
		require.NotContains(t, got, "\n")
		require.LessOrEqual(t, utf8.RuneCountInString(got), maxName*len("&amp;"))
	})
}
