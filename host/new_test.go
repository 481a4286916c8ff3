package main

import (
	"flag"
	"fmt"
	"go/format"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the long forms: every template, long attacks")

// TestNewFunctionsBuildTestAndServe makes functions and does with them what their
// READMEs say, without a network and without modules from elsewhere: by default one
// of the template http, because each takes six seconds of a processor when nothing
// is built yet.
func TestNewFunctionsBuildTestAndServe(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	t.Cleanup(site.Close)
	for kind, tc := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"http":     {"GET", "/fn/Ada", ``, 200, `{"greeting":"Hello, Ada!"}`},
		"slack":    {"POST", "/slack/fn", `command=%2Ffn&text=pick+tea`, 200, `{"response_type":"in_channel","text":"I pick *tea*."}`},
		"alert":    {"POST", "/fn", `{"lat":91,"lon":8,"max_gusts":50,"min_temp":0}`, 422, `{"error":{"code":"bad_place","message":"lat is -90 to 90, lon -180 to 180"}}`},
		"schedule": {"POST", "/fn", `{"time":"2026-01-31T12:09:00Z"}`, 200, `{"slot":"2026-01-31T12:05:00Z","up":true,"detail":"status 200"}`},
		"typed":    {"POST", "/fn", `{"cents":7,"people":2}`, 200, `{"cents":[4,3]}`},
		"lambda":   {"GET", "/fn?name=Ada", ``, 200, `{"greeting":"Hello, Ada!"}`},
	} {
		if !*long && kind != "http" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			spore := sporeCommand(t)
			run := func(dir, program string, args ...string) string {
				cmd := exec.Command(program, args...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "SPORE="+spore, "GOPROXY=off", "GOFLAGS=-mod=mod")
				if kind != "lambda" { // which needs a module that this tree's go.mod has too
					cmd.Env = append(cmd.Env, "GOMODCACHE="+t.TempDir())
				}
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				return string(out)
			}
			parent := t.TempDir()
			run(parent, spore, "new", "fn", "--template", kind)
			dir := filepath.Join(parent, "fn")
			require.Regexp(t, `^ok  \tfn\t`, run(dir, "go", "test", "-count=1", "./..."))

			h := startHost(t, serveHere(t, dir, strings.TrimPrefix(site.URL, "http://")), time.Now)
			req := h.request(tc.method, tc.path, tc.body)
			if kind == "slack" {
				require.Equal(t, 401, h.post(tc.path, tc.body).status, "unsigned")
				now := strconv.FormatInt(time.Now().Unix(), 10)
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("X-Slack-Request-Timestamp", now)
				req.Header.Set("X-Slack-Signature", slackSignature([]byte("demo-slack-signing-secret"), now, tc.body))
			}
			got := h.do(req)
			require.Equal(t, reply{tc.status, got.header, tc.want}, got)
			require.NotContains(t, h.logs.String(), "has no answer", "the recording answers the sample's call")
		})
	}
	require.Len(t, templates, 6, "each of them is above")
}

// The templates are commands of this tree as well, which other tests of it do not
// see.
func TestNewTemplatesPassVet(t *testing.T) {
	t.Parallel()
	args := []string{"vet"}
	for _, tmpl := range templates {
		args = append(args, "./_templates/"+tmpl.name)
	}
	out, err := exec.Command("go", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// sporeCommand returns the command's file: under this name, the test's program is it.
func sporeCommand(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	spore := filepath.Join(t.TempDir(), "spore")
	require.NoError(t, os.Symlink(program, spore))
	return spore
}

// serveHere readies dir for a port that is free, with site in place of the host
// itself, and the files that its test has derived.
func serveHere(t *testing.T, dir, site string) string {
	t.Helper()
	const own = `listen = "127.0.0.1:8080"`
	recordings, err := filepath.Glob(filepath.Join(dir, "events", "*.recording.json"))
	require.NoError(t, err)
	for _, path := range append(recordings, filepath.Join(dir, "functions.toml")) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		toml := strings.Replace(string(text), own, `listen = "127.0.0.1:0"`, 1)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(toml, "127.0.0.1:8080", site)), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	if cache, err := os.UserCacheDir(); err == nil {
		require.NoError(t, os.Symlink(filepath.Join(cache, "spore-guesttest"), filepath.Join(dir, "data", "derived")))
	}
	return dir
}

// What a new function says about itself is right whatever its name.
func TestNewFilesAreFormattedAndNamed(t *testing.T) {
	for _, tmpl := range templates {
		for _, name := range []string{"a", "a-function-with-quite-a-long-name-but-not-too-long"} {
			files := render(name, tmpl.name)
			for _, file := range []string{"go.mod", "main.go", "main_test.go", "functions.toml", "README.md", ".gitignore", "spore-sdk/go.mod", "spore-sdk/guest/guest.go"} {
				require.Contains(t, files, file, tmpl.name)
			}
			events := 0
			for file, text := range files {
				if strings.HasPrefix(file, sdkDir+"/") {
					continue
				}
				if strings.HasPrefix(file, "events/") {
					events++
				}
				require.NotContains(t, string(text), "NAME", "%s of %s", file, tmpl.name)
				if filepath.Ext(file) == ".go" {
					formatted, err := format.Source(text)
					require.NoError(t, err)
					require.Equal(t, string(formatted), string(text))
				}
			}
			require.Positive(t, events)
			require.Contains(t, string(files["README.md"]), strings.ReplaceAll(tmpl.try, "NAME", name), "what is printed is in the README too")
		}
	}
}

func TestNewLambdaNeedsTheVersionThatIsTestedHere(t *testing.T) {
	files := render("fn", "lambda")
	for _, file := range []string{"go.mod", "go.sum"} {
		ours, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		lines := 0
		for line := range strings.Lines(string(files[file])) {
			if strings.Contains(line, "aws-lambda-go") {
				require.Contains(t, string(ours), line)
				lines++
			}
		}
		require.Positive(t, lines)
	}
}

func TestNewRefusesNamesThatGoHasTaken(t *testing.T) {
	for _, name := range strings.Fields("all std cmd tool work main go toolchain command-line-arguments con prn aux nul com1 com9 lpt1 lpt9") {
		require.ErrorContains(t, checkNewName(name), "try my-"+name)
	}
	out, err := exec.Command("go", "list", "std", "cmd").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(strings.TrimSpace(line), "/")
		require.ErrorContains(t, checkNewName(top), "means something to Go")
	}
}
