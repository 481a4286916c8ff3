package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

const warmFunction = `
[function.warm]
source = "ROOT/host/sandbox/testdata/warm"
warmup = ["fetch.txt"]
[[function.warm.route]]
path = "/fetch"
method = "POST"
[[function.warm.route]]
path = "/history"
`

// TestSamplesAndTheirRecordingsAreDeployed follows a sample from functions.toml to
// what every request finds, and a recording that changes to a new version.
func TestSamplesAndTheirRecordingsAreDeployed(t *testing.T) {
	t.Parallel()
	dir := newDir(t, warmFunction)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	// The tests' folder of snapshots is shared: a call of this run's own keeps it from having this one.
	url := fmt.Sprintf("https://example.test/%d", time.Now().UnixNano())
	write("fetch.txt", url)
	h := startHost(t, dir, time.Now)
	require.Contains(t, h.get("/history").body, "first, second, GET "+url+": denied")
	refused := h.logged("warm-up with ", 1)[0]["msg"]
	require.Contains(t, refused, "GET "+url+" has no answer left in "+filepath.Join(dir, "fetch.recording.json"))

	live := h.logged("live", 1)
	write("fetch.recording.json", `[{"url": "`+url+`", "status": 200, "body": "from the tape", "headers": {"X-From": "tape"}}]`)
	h.logged("live", len(live)+1)
	require.Equal(t, "first, second, 200 tape from the tape", h.get("/history").body)

	write("fetch.recording.json", "[\n{}\n]")
	h.logged("not deployed", 1)
	require.Contains(t, h.logs.String(), "call 1: has no url")
	require.Equal(t, "first, second, 200 tape from the tape", h.get("/history").body, "the old version goes on")
}

func TestASampleThatFailsRefusesTheDeploy(t *testing.T) {
	t.Parallel()
	err := fails(t, `
[function.warm]
source = "ROOT/host/sandbox/testdata/warm"
warmup = ["ROOT/functions.toml"]
[[function.warm.route]]
path = "/error"
`)
	require.ErrorContains(t, err, "deploy warm: warm up with ")
	require.ErrorContains(t, err, "no such sample")
}

func TestASampleIsWhatInvokeSends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.form")
	require.NoError(t, os.WriteFile(path, []byte("text=members"), 0o600))
	spec := &function.Spec{Name: "f", Warmup: []string{path}, Routes: []function.Route{{Method: "PUT", Path: "/slack/stats"}}}
	samples, err := readSamples(spec)
	require.NoError(t, err)
	require.Equal(t, []sandbox.Sample{{Name: path, Recording: strings.TrimSuffix(path, "form") + "recording.json", Event: abi.Event{
		ContentType: "application/x-www-form-urlencoded", Method: "PUT", Path: "/slack/stats", ClientAddr: "127.0.0.1:0", Body: []byte("text=members"),
		Headers: abi.Pairs{{Name: "content-type", Value: "application/x-www-form-urlencoded"}},
	}}}, samples)
	before := identity(spec, "digest", samples)
	samples[0].Event.Body[0]++
	require.NotEqual(t, before, identity(spec, "digest", samples))
}

func TestRecordings(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []sandbox.Call
		err  string
	}{
		"none":              {text: "[]", want: []sandbox.Call{}},
		"defaults":          {text: `[{"url":"u","status":200}]`, want: []sandbox.Call{{Method: "GET", URL: "u", Status: 200}}},
		"headers":           {text: `[{"method":"PUT","url":"u","status":201,"headers":{"B":"2","A":"1"},"body":"x"}]`, want: []sandbox.Call{{Method: "PUT", URL: "u", Status: 201, Headers: abi.Pairs{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Body: []byte("x")}}},
		"bytes":             {text: `[{"url":"u","status":200,"body_base64":"/w=="}]`, want: []sandbox.Call{{Method: "GET", URL: "u", Status: 200, Body: []byte{0xff}}}},
		"both bodies":       {text: `[{"url":"u","status":200,"body":"x","body_base64":"/w=="}]`, err: "f: call 1: has body and body_base64; keep one"},
		"no status":         {text: `[{"url":"u","status":200},{"url":"u"}]`, err: "f: call 2: status is 0; use the answer's, 100 to 599"},
		"no URL":            {text: `[{"status":200}]`, err: "f: call 1: has no url"},
		"an unknown key":    {text: `[{"ulr":"u"}]`, err: `json: unknown field "ulr"`},
		"a key's type":      {text: "[\n{\"url\":\n3}]", err: "f:3: json: cannot unmarshal"},
		"no JSON":           {text: "[\n\n{]", err: "f:3: invalid character"},
		"more than a list":  {text: "[]\n[]", err: "f:1: something follows the list"},
		"nothing":           {text: "", err: "f:1: EOF"},
		"an object":         {text: "{}", err: "f:1: json: cannot unmarshal object"},
		"a body too large":  {text: `[{"url":"u","status":200,"body":"` + strings.Repeat("x", abi.MaxBody+1) + `"}]`, err: "over the limit"},
		"a status too high": {text: `[{"url":"u","status":600}]`, err: "status is 600"},
	} {
		t.Run(name, func(t *testing.T) {
			calls, err := parseRecording("f", []byte(tc.text))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, calls)
		})
	}
}

// TestARecordingIsMadeByALocalRun makes one and warms the function up with it.
func TestARecordingIsMadeByALocalRun(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/x-tape")
		w.Header().Set("Content-Encoding", "identity")
		w.Header().Set("Set-Cookie", "who=me")
		fmt.Fprint(w, "from upstream")
	}))
	dir := newDir(t, strings.Replace(warmFunction, `["fetch.txt"]`, `["fetch.txt"]`+"\nhttp_private = [\""+upstream.URL+"\"]", 1))
	sample := filepath.Join(dir, "fetch.txt")
	require.NoError(t, os.WriteFile(sample, []byte(upstream.URL+"/a?b=c"), 0o600))
	run := func(args ...string) (string, error) {
		cmd := newRoot()
		var out, errOut buffer
		cmd.SetOut(&out)
		cmd.SetErr(&errOut)
		cmd.SetArgs(append([]string{"--config", filepath.Join(dir, "functions.toml"), "invoke", "warm"}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run("--local", "-e", sample, "--record")
	require.NoError(t, err)
	require.Equal(t, "200 OK\ncalled\n", out)
	calls, err := readRecording(filepath.Join(dir, "fetch.recording.json"))
	require.NoError(t, err)
	require.Equal(t, []sandbox.Call{{Method: "GET", URL: upstream.URL + "/a?b=c", Status: 200,
		Headers: abi.Pairs{{Name: "content-encoding", Value: "identity"}, {Name: "content-type", Value: "text/x-tape"}},
		Body:    []byte("from upstream")}}, calls)
	info, err := os.Stat(filepath.Join(dir, "fetch.recording.json"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode(), "answers may hold secrets")

	upstream.Close()
	_, err = run("--local", "-e", sample, "--record")
	require.ErrorContains(t, err, "no call was answered, so "+filepath.Join(dir, "fetch.recording.json")+" is left as it is: http_start "+upstream.URL)
	kept, err := readRecording(filepath.Join(dir, "fetch.recording.json"))
	require.NoError(t, err)
	require.Equal(t, calls, kept)
	require.Equal(t, "first, second, 200  from upstream", startHost(t, dir, time.Now).get("/history").body)

	for _, args := range [][]string{{"--record", "-e", sample}, {"--record", "--local"}, {"--record", "--local", "-e", "-"}} {
		_, err := run(args...)
		require.Equal(t, 2, exitCode(err), "%v", err)
	}
}
