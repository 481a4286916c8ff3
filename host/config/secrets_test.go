package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSecrets(t *testing.T) {
	secrets, err := ParseSecrets([]byte("# ours\nTOKEN = \"demo-1\"\n_a9 = '''two\nlines'''\nEMPTY = ''\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"TOKEN": "demo-1", "_a9": "two\nlines", "EMPTY": ""}, secrets)
}

func TestParseSecretsShowsNoSecretInErrors(t *testing.T) {
	for _, test := range []struct{ name, file, line string }{
		{"a value without quotes", "A = 'ok'\nTOKEN = hunter2\n", "line 2:"},
		{"a value without a name", "hunter2\n", "line 1:"},
		{"a string that does not end", "TOKEN = 'hunter2\n", "line 1:"},
		{"an unknown escape", "TOKEN = \"hunter2\\q\"\n", "line 1:"},
		{"a name given twice", "hunter2 = ''\nhunter2 = ''\n", "line 2:"},
		{"a name that is a secret", "A = ''\nhunter2-x = ''\n", "line 2:"},
		{"a value that is no string", "\nTOKEN = ['hunter2']\n", "line 2:"},
		{"a table", "[hunter2]\nA = 'hunter2'\n", "line 1:"},
		{"a name of very many parts", "A = ''\n" + strings.Repeat("hunter2.", 100_000) + "a = 'x'\n", "line 2:"},
		{"a dotted name", "a.hunter2 = 'x'\n", "line 1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			secrets, err := ParseSecrets([]byte(test.file))
			require.Nil(t, secrets)
			require.ErrorContains(t, err, test.line)
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"timeout", "env", "http", "http_private"}
	for _, test := range []struct{ name, unknown, hint string }{
		{"two letters swapped", "timeuot", `did you mean "timeout"?`},
		{"one letter missing", "timeot", `did you mean "timeout"?`},
		{"one letter too many", "envs", `did you mean "env"?`},
		{"a short name that shares one letter", "end", `did you mean "env"?`},
		{"a short name that is another word", "dns", "known here: env, http, http_private, timeout"},
		{"the nearer of two", "http_privat", `did you mean "http_private"?`},
		{"nothing like it", "colour", "known here: env, http, http_private, timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.hint, suggest(test.unknown, known))
		})
	}
}
