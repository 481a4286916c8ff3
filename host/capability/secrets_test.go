package capability

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

// parse reads NAME=value lines, standing in for config.ParseSecrets.
func parse(data []byte) (map[string]string, error) {
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, errors.New("line without =")
		}
		values[name] = value
	}
	return values, nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// sources returns the same secrets, A and B, out of every kind of source.
func sources(t *testing.T) map[string]SecretsSource {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "secrets")
	write(t, file, "A=one\nB=\n")
	credentials := filepath.Join(dir, "credentials")
	require.NoError(t, os.Mkdir(credentials, 0o700))
	write(t, filepath.Join(credentials, "A"), "one\n")
	write(t, filepath.Join(credentials, "B"), "")
	write(t, filepath.Join(credentials, "not-a-secret.txt"), "demo-x")
	require.NoError(t, os.Mkdir(filepath.Join(credentials, "D"), 0o700))
	t.Setenv("SPORE_TEST_A", "one")
	t.Setenv("SPORE_TEST_B", "")
	return map[string]SecretsSource{
		"a file":          {File: file, Parse: parse},
		"the environment": {EnvPrefix: "SPORE_TEST_"},
		"a directory":     {Directory: credentials},
	}
}

func TestLookup(t *testing.T) {
	for name, source := range sources(t) {
		t.Run("in "+name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.NoError(t, err)
			value, err := s.Lookup("A")
			require.NoError(t, err)
			require.Equal(t, "one", string(value))
			value, err = s.Lookup("B")
			require.NoError(t, err)
			require.Empty(t, value)

			_, err = s.Lookup("C")
			require.Equal(t, abi.NotFound, function.KindOf(err))
			require.ErrorContains(t, err, `look up secret "C": no such secret; add it to`)
			_, err = s.Lookup("D")
			require.Equal(t, abi.NotFound, function.KindOf(err))
			require.Equal(t, []string{"C", "D"}, s.Missing([]string{"A", "C", "B", "D"}))
			require.False(t, s.Demo())
		})
	}
	t.Run("without a source", func(t *testing.T) {
		s, err := OpenSecrets(SecretsSource{})
		require.NoError(t, err)
		_, err = s.Lookup("A")
		require.Equal(t, abi.NotFound, function.KindOf(err))
		require.False(t, s.Demo())
	})
}

func TestLookupRefusesNamesThatCouldBePaths(t *testing.T) {
	for name, source := range sources(t) {
		s, err := OpenSecrets(source)
		require.NoError(t, err)
		for _, secret := range []string{"", "../A", "/etc/passwd", "A/B", "A\x00", ".", "9A", "not-a-secret.txt", "\u212a", strings.Repeat("A", 257)} {
			t.Run(name+" "+function.Quoted(secret), func(t *testing.T) {
				_, err := s.Lookup(secret)
				require.Equal(t, abi.Invalid, function.KindOf(err))
				require.Less(t, len(err.Error()), 300)
			})
		}
	}
}

func TestGrants(t *testing.T) {
	for name, source := range sources(t) {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.NoError(t, err)
			get := s.For(function.Spec{Name: "stats", Secrets: []string{"A", "C"}})
			value, err := get("A")
			require.NoError(t, err)
			require.Equal(t, "one", string(value))

			_, err = get("B")
			require.Equal(t, abi.Denied, function.KindOf(err))
			require.EqualError(t, err, `look up secret "B": not granted; add it to secrets of function stats in functions.toml`)
			_, err = get("C")
			require.Equal(t, abi.NotFound, function.KindOf(err))
			_, err = get("../A")
			require.Equal(t, abi.Denied, function.KindOf(err))
		})
	}
}

func TestValueBelongsToTheCaller(t *testing.T) {
	for name, source := range sources(t) {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.NoError(t, err)
			value, err := s.Lookup("A")
			require.NoError(t, err)
			clear(value)
			value, err = s.Lookup("A")
			require.NoError(t, err)
			require.Equal(t, "one", string(value))
		})
	}
}

func TestDemoValuesAreFound(t *testing.T) {
	all := sources(t)
	write(t, all["a file"].File, "A=one\nZ=demo-1\n")
	write(t, filepath.Join(all["a directory"].Directory, "Z"), "demo-1\n")
	t.Setenv("SPORE_TEST_Z", "demo-1")
	for name, source := range all {
		t.Run("in "+name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.NoError(t, err)
			require.True(t, s.Demo())
		})
	}
}

func TestFileIsReadAgainWhenItChanged(t *testing.T) {
	reads := 0
	path := filepath.Join(t.TempDir(), "secrets")
	write(t, path, "A=one\n")
	s, err := OpenSecrets(SecretsSource{File: path, Parse: func(data []byte) (map[string]string, error) {
		reads++
		return parse(data)
	}})
	require.NoError(t, err)
	expect := func(want string, wantReads int) {
		t.Helper()
		value, err := s.Lookup("A")
		require.NoError(t, err)
		require.Equal(t, want, string(value))
		require.Equal(t, wantReads, reads)
	}
	expect("one", 1)
	expect("one", 1)

	writeAt := func(path, content string, seconds int64) {
		t.Helper()
		write(t, path, content)
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(seconds, 0)))
	}
	writeAt(path, "A=seven\n", 1e9)
	expect("seven", 2)
	writeAt(path, "A=eight\n", 1e9+1) // another time
	expect("eight", 3)
	writeAt(path, "A=eleven\n", 1e9+1) // another size
	expect("eleven", 4)
	writeAt(path+".new", "A=twelve\n", 1e9+1) // another file
	require.NoError(t, os.Rename(path+".new", path))
	expect("twelve", 5)

	write(t, path, "broken")
	expect("twelve", 6) // as the version that serves goes on when functions.toml is broken
	expect("twelve", 6)
	_, err = OpenSecrets(s.source)
	require.Equal(t, abi.Unavailable, function.KindOf(err))
	require.NotContains(t, err.Error(), "broken")
	reads--
	write(t, path, "A=nine, again\n")
	expect("nine, again", 7)

	require.NoError(t, os.Remove(path))
	_, err = s.Lookup("A")
	require.Equal(t, abi.Unavailable, function.KindOf(err))
	require.Equal(t, []string{"A"}, s.Missing([]string{"A"}))
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSecrets(SecretsSource{Directory: dir})
	require.NoError(t, err)
	for _, test := range []struct{ name, content, want string }{
		{"no newline at the end", "x", "x"},
		{"one newline at the end", "x\n", "x"},
		{"a Windows line end", "x\r\n", "x"},
		{"two newlines, one of which is the secret's", "x\n\n", "x\n"},
		{"white space that is the secret's", " x \n", " x "},
	} {
		t.Run(test.name, func(t *testing.T) {
			write(t, filepath.Join(dir, "A"), test.content)
			value, err := s.Lookup("A")
			require.NoError(t, err)
			require.Equal(t, test.want, string(value))
		})
	}
	t.Run("a file over the limit", func(t *testing.T) {
		write(t, filepath.Join(dir, "A"), strings.Repeat("x", maxSecret+1))
		_, err := s.Lookup("A")
		require.ErrorContains(t, err, "over the limit")
		require.NotContains(t, err.Error(), "xxx")
	})
	t.Run("a pipe nobody writes to", func(t *testing.T) {
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "P"), 0o600))
		_, err := s.Lookup("P")
		require.ErrorContains(t, err, "not a regular file")
	})
}

func TestAValueOverTheLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	long := strings.Repeat("x", maxSecret+1)
	write(t, file, "A="+long+"\nB="+long[1:]+"\n")
	t.Setenv("SPORE_TEST_A", long)
	t.Setenv("SPORE_TEST_B", long[1:])
	for name, source := range map[string]SecretsSource{
		"in a file":          {File: file, Parse: parse},
		"in the environment": {EnvPrefix: "SPORE_TEST_"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.NoError(t, err)
			_, err = s.Lookup("A")
			require.Equal(t, abi.TooLarge, function.KindOf(err))
			require.NotContains(t, err.Error(), "xxx")
			value, err := s.Lookup("B")
			require.NoError(t, err)
			require.Len(t, value, maxSecret)
		})
	}
}

func TestOpenRefusesASourceThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	write(t, broken, "hunter2")
	huge := filepath.Join(dir, "huge")
	write(t, huge, "A=hunter2"+strings.Repeat("\nB=x", maxSecretsFile/4))
	for name, source := range map[string]SecretsSource{
		"a file that does not exist":      {File: filepath.Join(dir, "none"), Parse: parse},
		"a file that is a directory":      {File: dir, Parse: parse},
		"a file that cannot be parsed":    {File: broken, Parse: parse},
		"a file over the limit":           {File: huge, Parse: parse},
		"a directory that does not exist": {Directory: filepath.Join(dir, "none")},
		"a directory that is a file":      {Directory: broken},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSecrets(source)
			require.Nil(t, s)
			require.Equal(t, abi.Unavailable, function.KindOf(err))
			require.ErrorContains(t, err, "open secrets: ")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestLookupsWhileTheFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	write(t, path, "A=1\n")
	s, err := OpenSecrets(SecretsSource{File: path, Parse: parse})
	require.NoError(t, err)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 200 {
				value, err := s.Lookup("A")
				if err != nil || strings.Trim(string(value), "1") != "" {
					t.Errorf("got %q, %v", value, err)
				}
			}
		})
	}
	for i := range 50 {
		write(t, path+".new", "A="+strings.Repeat("1", i)+"\n")
		require.NoError(t, os.Rename(path+".new", path))
	}
	readers.Wait()
}
