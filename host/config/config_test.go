package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/function"
)

// parseAlone is Load without looking at any file.
func parseAlone(path string, data []byte) (*Config, error) {
	cfg, found := parse(path, data)
	if err := found.err(path); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Every file in testdata/invalid has a .golden beside it with the whole error.
func TestInvalidFilesReportEveryProblem(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.toml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			golden, err := os.ReadFile(strings.TrimSuffix(file, ".toml") + ".golden")
			require.NoError(t, err)

			cfg, err := parseAlone(filepath.Base(file), data)
			require.Nil(t, cfg)
			require.Error(t, err)
			require.Equal(t, string(golden), err.Error()+"\n")
		})
	}
}

func TestFullFile(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/full.toml")
	require.NoError(t, err)
	cfg, err := parseAlone("/etc/spore/functions.toml", data)
	require.NoError(t, err)

	require.Equal(t, "/etc/spore/functions.toml", cfg.Path)
	require.Equal(t, Host{
		Listen:      "127.0.0.1:0",
		Data:        "/var/lib/spore",
		UserAgent:   "example.org contact@example.org",
		Log:         "json",
		Concurrency: 32,
		Memory:      3 << 30,
		NATS:        "nats://a.example:4222, tls://user:pw@b.example",
	}, cfg.Host)
	require.Equal(t, Secrets{File: "/etc/spore/secrets.toml"}, cfg.Secrets)
	require.Len(t, cfg.Functions, 2)

	alerts, stats := cfg.Functions[0], cfg.Functions[1]
	require.Equal(t, function.Spec{
		Name:   "alerts",
		Module: "/srv/alerts.wasm",
		Limits: function.Limits{
			Memory: 64 << 20, Concurrency: 50,
			Timeout: 10 * time.Second, ResponseTimeout: 10 * time.Second, InitTimeout: 10 * time.Second,
		},
		Routes: []function.Route{{Method: "GET", Path: "/"}, {Method: "DELETE", Path: "/alerts/"}},
		Env:    map[string]string{},
	}, alerts)
	require.Equal(t, function.Spec{
		Name:   "stats",
		Source: "/etc/spore/modules/stats",
		Limits: function.Limits{
			Memory:      977 * 65536, // 64,000,000 bytes are 976.6 pages
			Concurrency: 7,
			Timeout:     65 * time.Second, ResponseTimeout: 2500 * time.Millisecond, InitTimeout: 5 * time.Second,
		},
		Routes: []function.Route{
			{Method: "POST", Path: "/slack/stats", SlackSecret: "SLACK_SIGNING_SECRET", Example: "/stats members"},
			{Method: "GET", Path: "/stats/{team}/files/{rest:*}"},
		},
		Env: map[string]string{"SITE": "example.org", "EMPTY": ""},
		HTTP: []function.Origin{
			{Scheme: "https", Host: "example.org", Port: "443"},
			{Scheme: "https", Host: "hooks.slack.com", Port: "8443"},
			{Scheme: "http", Host: "93.184.216.34", Port: "80"},
		},
		HTTPPrivate: []function.Origin{
			{Scheme: "http", Host: "127.0.0.1", Port: "8080"},
			{Scheme: "http", Host: "::1", Port: "80"},
		},
		Secrets: []string{"STATS_API_TOKEN"},
		KV:      16 << 20,
		Warmup:  []string{"/etc/spore/modules/stats/events/members.form", "/srv/samples/b.json"},
	}, stats)
}

func TestDefaults(t *testing.T) {
	cfg, err := parseAlone("/etc/functions.toml", nil)
	require.NoError(t, err)
	require.Equal(t, &Config{
		Path: "/etc/functions.toml",
		Host: Host{Listen: "127.0.0.1:8080", Data: "/etc/data", UserAgent: "spore", Log: "auto", Concurrency: 256},
	}, cfg)
}

func TestShorterTimeoutShortensTheResponseToo(t *testing.T) {
	cfg, err := parseAlone("f.toml", []byte("[function.a]\nsource = 'a'\ntimeout = '2s'\n"))
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, cfg.Functions[0].Limits.ResponseTimeout)
}

func TestRelativePathsStartAtTheFile(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	cfg, err := parseAlone("sub/functions.toml", []byte("[function.a]\nsource = '../a'\n"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(here, "a"), cfg.Functions[0].Source)
	require.Equal(t, filepath.Join(here, "sub", "data"), cfg.Host.Data)
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "functions.toml")
	write := func(t *testing.T, content string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "src"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.wasm"), nil, 0o600))

	t.Run("accepts a directory and a module that exist", func(t *testing.T) {
		write(t, "[function.a]\nsource = 'src'\n[function.b]\nmodule = 'm.wasm'\n")
		cfg, err := Load(path)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "src"), cfg.Functions[0].Source)
		require.Equal(t, filepath.Join(dir, "m.wasm"), cfg.Functions[1].Module)
	})
	t.Run("reports missing files among the other problems", func(t *testing.T) {
		write(t, "[function.a]\nsource = 'none'\ntimeout = '1'\n[function.b]\nmodule = 'src'\n[function.c]\nsource = 'm.wasm'\n")
		_, err := Load(path)
		var problems *Error
		require.ErrorAs(t, err, &problems)
		require.Equal(t, []Problem{
			{2, "function.a.source", "no directory at " + filepath.Join(dir, "none"), "source names the directory of a Go main package"},
			{3, "function.a.timeout", `"1" is not a duration`, `write it like "250ms", "10s" or "1m30s"`},
			{5, "function.b.module", "no file at " + filepath.Join(dir, "src"), "build it with spore build"},
			{7, "function.c.source", "no directory at " + filepath.Join(dir, "m.wasm"), "source names the directory of a Go main package"},
		}, problems.Problems)
	})
	t.Run("reports samples that are missing or too large", func(t *testing.T) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "small.json"), nil, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "large.json"), nil, 0o600))
		require.NoError(t, os.Truncate(filepath.Join(dir, "large.json"), 6<<20+1))
		write(t, "[function.a]\nsource = 'src'\nwarmup = ['small.json',\n'none.json',\n'large.json', 'src']\n")
		_, err := Load(path)
		var problems *Error
		require.ErrorAs(t, err, &problems)
		const hint = "warmup names files with sample events, as for spore invoke -e"
		require.Equal(t, []Problem{
			{4, "function.a.warmup[1]", "no file at " + filepath.Join(dir, "none.json"), hint},
			{5, "function.a.warmup[2]", filepath.Join(dir, "large.json") + " is over the limit of 6291456 bytes for an event's body", ""},
			{5, "function.a.warmup[3]", "no file at " + filepath.Join(dir, "src"), hint},
		}, problems.Problems)
	})
	t.Run("says that the file itself is missing", func(t *testing.T) {
		_, err := Load(filepath.Join(dir, "other.toml"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("refuses a file over the limit", func(t *testing.T) {
		write(t, strings.Repeat("#", maxFile+1))
		_, err := Load(path)
		require.ErrorContains(t, err, "over the limit")
	})
}

// TestDeepNestingIsSurvived: of a key with many parts the TOML library's time grows with
// the cube, and the lines of its keys took memory with the square.
func TestDeepNestingIsSurvived(t *testing.T) {
	for _, doc := range []string{
		"[" + strings.Repeat("a.", 500_000) + "a]\n",
		"[[" + strings.Repeat("'a' . ", 150_000) + "a]]\n",
		"b = 1\n" + strings.Repeat("a.", 500_000) + "a = 1\n",
		"a = " + strings.Repeat("{a=", 300_000),
		"a = [" + strings.Repeat("{a.a=[", 150_000),
		"a = " + strings.Repeat("{"+strings.Repeat("a.", 30)+"a = ", 30) + "1" + strings.Repeat("}", 30),
		"a = " + strings.Repeat("[", 100_000),
		"a = " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"function = " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
	} {
		_, err := parseAlone("f.toml", []byte(doc))
		require.ErrorContains(t, err, "goes more than 32 tables or lists deep")
	}
}

// TestLongRoutesAreRefused: the parameters of a path are compared with one another, which
// took 93 s for the 90,000 that a file has room for.
func TestLongRoutesAreRefused(t *testing.T) {
	route := func(path string) []byte {
		return []byte("[function.a]\nsource = 'a'\n[[function.a.route]]\npath = '" + path + "'\n")
	}
	_, err := parseAlone("f.toml", route("/"+strings.Repeat("a", function.MaxPath-1)))
	require.NoError(t, err)
	var path strings.Builder
	for i := range 90_000 {
		fmt.Fprintf(&path, "/{p%d}", i)
	}
	_, err = parseAlone("f.toml", route(path.String()))
	require.EqualError(t, err, `f.toml:4: function.a.route[0].path: is over the limit of 8192 bytes; write it like "/users/{id}" or "/files/{rest:*}"`)
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.toml", "testdata/invalid/*.toml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parseAlone("f.toml", data)
		require.Equal(t, err == nil, cfg != nil)
		if err == nil {
			return
		}
		var problems *Error
		require.ErrorAs(t, err, &problems)
		require.NotEmpty(t, problems.Problems)
		last := 0
		for _, p := range problems.Problems {
			require.GreaterOrEqual(t, p.Line, last)
			require.NotEmpty(t, p.Text)
			last = p.Line
		}
		require.LessOrEqual(t, last, strings.Count(string(data), "\n")+1)
	})
}
