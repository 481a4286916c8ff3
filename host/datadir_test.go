package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"spore/host/function"
)

func TestCollectDeletesWhatNobodyUsesAnyMore(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{"images/old": 31 * 24 * time.Hour, "images/new": time.Hour, "compiled/x/old": 40 * 24 * time.Hour} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, now.Add(-age), now.Add(-age)))
	}
	age := now.Add(-40 * 24 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "compiled/x"), age, age))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "compiled/.new-1"), 0o700)) // another host is about to fill it
	require.Equal(t, 3, collect(dir, now, derivedAge))
	require.FileExists(t, filepath.Join(dir, "images/new"))
	require.NoDirExists(t, filepath.Join(dir, "compiled/x"))
	require.DirExists(t, filepath.Join(dir, "compiled/.new-1"))
	require.Zero(t, collect(filepath.Join(dir, "missing"), now, derivedAge))
}

// TestManyDerivedFilesAreKeptForLessLong: an edit of a source leaves 3 to 60 MB.
func TestManyDerivedFilesAreKeptForLessLong(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	write := func(name string, age time.Duration, size int64) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, size)) // a hole: no disk has to hold it
		require.NoError(t, os.Chtimes(path, now.Add(-age), now.Add(-age)))
	}
	write("yesterday", 25*time.Hour, derivedRoom/2)
	write("today", 23*time.Hour, derivedRoom/2)
	require.Zero(t, collect(dir, now, derivedAge))
	write("now", 0, 1)
	require.Equal(t, 1, collect(dir, now, derivedAge))
	require.NoFileExists(t, filepath.Join(dir, "yesterday"))
}

func TestDataDirectoryIsLockedUntilClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first, err := openDataDir(path)
	require.NoError(t, err)
	_, err = openDataDir(path)
	require.ErrorContains(t, err, "in use by process")
	require.NoError(t, first.Close())
	second, err := openDataDir(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

func TestADataDirectoryThatCannotBeLocked(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(path, "lock"), 0o700)) // as little to be opened as on a file system that is read-only
	_, err := openDataDir(path)
	require.ErrorContains(t, err, "set data in functions.toml to a directory you may write")
}

func TestLinesToPasteFitTheirRoutes(t *testing.T) {
	s := &server{address: "127.0.0.1:8080"}
	for want, r := range map[string]function.Route{
		"curl http://127.0.0.1:8080/a":                      {Method: "GET", Path: "/a"},
		"curl http://127.0.0.1:8080/a/name/rest":            {Method: "GET", Path: "/a/{name}/{rest:*}"},
		"curl -X POST http://127.0.0.1:8080/a":              {Method: "POST", Path: "/a"},
		"curl --head http://127.0.0.1:8080/a":               {Method: "HEAD", Path: "/a"}, // with -X HEAD curl waits for a body
		"curl 'http://127.0.0.1:8080/a;b&c'":                {Method: "GET", Path: "/a;b&c"},
		`curl 'http://127.0.0.1:8080/it'\''s/id'`:           {Method: "GET", Path: "/it's/{id}"},
		"curl --data @x.json http://127.0.0.1:8080/a":       {Method: "POST", Path: "/a", Example: "--data @x.json"},
		"curl -X PUT --data @x.json http://127.0.0.1:8080/": {Method: "PUT", Path: "/", Example: "--data @x.json"},
		commandName() + ` invoke f --slack '/f help'`:       {Method: "POST", Path: "/a", SlackSecret: "S"},
		commandName() + ` invoke f --slack '/f go'`:         {Method: "POST", Path: "/a", SlackSecret: "S", Example: "/f go"},
	} {
		require.Equal(t, want, s.tryLine("f", r))
	}
	s.opt.config = "/etc/my functions.toml"
	require.Equal(t, commandName()+` invoke f --config '/etc/my functions.toml' --slack '/f help'`,
		s.tryLine("f", function.Route{Method: "POST", Path: "/a", SlackSecret: "S"}))
}

func TestSlackRepliesAreShownAsSlackShowsThem(t *testing.T) {
	for body, want := range map[string]string{
		`{"response_type":"ephemeral","text":"*Hi* &lt;you&gt; &amp; me"}`: "Only visible to you\n*Hi* <you> & me\n",
		`{"response_type":"in_channel","text":"all"}`:                      "Visible to everybody in #general\nall\n",
		`{"text":"<!channel> <@U1> <#C1|general> <https://a.example|Ada> <https://b.example> &lt;!here&gt;"}`: "Only visible to you\n" +
			"@channel @U1 #general Ada (https://a.example) https://b.example <!here>\n",
		`{"text":"a\u001b[2Jb\u202e\r\nc"}`: "Only visible to you\na [2Jb  \nc\n",
		"plain":                             "Only visible to you\nplain\n",
		" ":                                 "(acknowledged without a message)\n",
	} {
		var out bytes.Buffer
		require.NoError(t, printSlack(&out, body))
		require.Equal(t, want, out.String())
	}
}

// TestACloneOfTheLockDoesNotKeepIt has a second descriptor of the lock's file, as a
// process has that was forked and has not begun its program yet.
func TestACloneOfTheLockDoesNotKeepIt(t *testing.T) {
	dir := t.TempDir()
	first, err := openDataDir(dir)
	require.NoError(t, err)
	clone, err := unix.Dup(int(first.lock.Fd()))
	require.NoError(t, err)
	defer unix.Close(clone)
	require.NoError(t, first.Close())
	second, err := openDataDir(dir)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}
