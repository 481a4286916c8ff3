package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sample(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/stats-members.json")
	require.NoError(t, err)
	return b
}

func TestAGoodAnswerIsRead(t *testing.T) {
	got, err := decode(sample(t))
	require.NoError(t, err)
	require.Equal(t, figures{1342, 418, &member{"Ada L.", time.Date(2019, 3, 4, 18, 22, 31, 0, time.UTC)}}, got)

	got, err = decode([]byte(`{"data":{"members_count":0,"invited_by_mentor_count":0,"latest_member":null}}`))
	require.NoError(t, err)
	require.Equal(t, figures{}, got)
}

const (
	wrongJSON = "the answer is not the JSON it should be"
	ada       = `{"name":"Ada","joined_at":"2019-03-04T18:22:31Z"}`
)

// unreadable are answers of a statistics service gone wrong, with the reason
// for the log.
var unreadable = []struct{ name, body, reason string }{
	{"nothing", ``, wrongJSON},
	{"a maintenance page", `<!doctype html><p>Be right back.`, wrongJSON},
	{"null", `null`, "members_count is missing"},
	{"an array", `[]`, wrongJSON},
	{"an answer that breaks off", `{"data":{"members_count":13`, wrongJSON},
	{"two answers", `{"data":{}}{"data":{}}`, wrongJSON},
	{"no data", `{"meta":{}}`, "members_count is missing"},
	{"data that is null", `{"data":null}`, "members_count is missing"},
	{"data that is a list", `{"data":[1]}`, "data has the wrong type"},
	{"no count", `{"data":{"invited_by_mentor_count":1,"latest_member":null}}`, "members_count is missing"},
	{"a count that is null", `{"data":{"members_count":null,"invited_by_mentor_count":1,"latest_member":null}}`, "members_count is missing"},
	{"no invitations", `{"data":{"members_count":1,"latest_member":null}}`, "invited_by_mentor_count is missing"},
	{"no latest member", `{"data":{"members_count":1,"invited_by_mentor_count":1}}`, "latest_member is missing"},
	{"a string for a number", `{"data":{"members_count":"12","invited_by_mentor_count":1,"latest_member":null}}`,
		"data.members_count has the wrong type"},
	{"a fraction", `{"data":{"members_count":1.5,"invited_by_mentor_count":1,"latest_member":null}}`,
		"data.members_count has the wrong type"},
	{"a number beyond 64 bits", `{"data":{"members_count":9223372036854775808,"invited_by_mentor_count":1,"latest_member":null}}`,
		"data.members_count has the wrong type"},
	{"negative members", `{"data":{"members_count":-1,"invited_by_mentor_count":-2,"latest_member":null}}`, "a count is negative"},
	{"negative invitations", `{"data":{"members_count":1,"invited_by_mentor_count":-1,"latest_member":null}}`, "a count is negative"},
	{"more invitations than members", `{"data":{"members_count":1,"invited_by_mentor_count":2,"latest_member":null}}`,
		"invited_by_mentor_count is above members_count"},
	{"a member that is a string", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":"Ada"}}`, wrongJSON},
	{"a member without a name", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"joined_at":"2019-03-04T18:22:31Z"}}}`,
		"latest_member.name is missing"},
	{"a member with a blank name", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":" \n\t","joined_at":"2019-03-04T18:22:31Z"}}}`,
		"latest_member.name is missing"},
	{"a name that is a number", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":1,"joined_at":"2019-03-04T18:22:31Z"}}}`,
		"name has the wrong type"},
	{"no date", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":"Ada"}}}`,
		"latest_member.joined_at is not a date"},
	{"a date that is none", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":"Ada","joined_at":"yesterday"}}}`,
		"latest_member.joined_at is not a date"},
	{"February 30th", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":"Ada","joined_at":"2019-02-30T00:00:00Z"}}}`,
		"latest_member.joined_at is not a date"},
	{"a date that is a number", `{"data":{"members_count":1,"invited_by_mentor_count":0,"latest_member":{"name":"Ada","joined_at":1551723751}}}`,
		"joined_at has the wrong type"},
	{"very deep JSON", strings.Repeat("[", 100_000), wrongJSON},
}

func TestABadAnswerIsRefusedWithItsReason(t *testing.T) {
	for _, tt := range unreadable {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode([]byte(tt.body))
			require.EqualError(t, err, tt.reason)
			require.Equal(t, figures{}, got)
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte(`{"data":{"members_count":1,"invited_by_mentor_count":1,"latest_member":` + ada + `}}`))
	for _, tt := range unreadable {
		f.Add([]byte(tt.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(body)
		if err != nil {
			require.Equal(t, figures{}, got)
			return
		}
		require.LessOrEqual(t, got.invited, got.count)
		require.GreaterOrEqual(t, got.invited, int64(0))
		text := renderMembers(got, "example.org", time.UTC)
		require.LessOrEqual(t, strings.Count(text, "\n"), 2)
		require.NotContains(t, text, "<")
	})
}
