package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// lambdaWays are the two ways for a function from AWS Lambda, and the directories
// there are under the examples and under the probes.
var lambdaWays = []string{"port", "unchanged"}

const fixtures = "../modules/lambda/intake/testdata/"

// lambdaImage prepares the command in dir, warmed up with the events in the files given.
func lambdaImage(tb testing.TB, prove bool, dir string, warmup ...string) *sandbox.Image {
	tb.Helper()
	s := sandbox.Settings{Name: "intake", MemoryMax: 64 << 20, InitTimeout: 30 * time.Second}
	for _, name := range warmup {
		body, err := os.ReadFile(name)
		require.NoError(tb, err)
		s.Warmup = append(s.Warmup, sandbox.Sample{Name: name, Event: abi.Event{Body: body}})
	}
	e, err := sandbox.Open(sandbox.Options{Directory: filepath.Join(testmodule.Directory(tb), "derived"), Prove: prove})
	require.NoError(tb, err)
	img, err := e.Prepare(tb.Context(), testmodule.Build(tb, dir), s)
	require.NoError(tb, err)
	require.Empty(tb, img.Note())
	tb.Cleanup(img.Close)
	return img
}

// serveOne serves ev in a sandbox of img.
func serveOne(tb testing.TB, img *sandbox.Image, ev abi.Event) (abi.Result, function.Stats, error) {
	tb.Helper()
	sb, err := img.Open(tb.Context())
	require.NoError(tb, err)
	defer sb.Close()
	var got abi.Result
	end := time.Now().Add(20 * time.Second)
	ev.DeadlineMS, ev.ResponseDeadlineMS = end.UnixMilli(), end.UnixMilli()
	stats, err := sb.Serve(tb.Context(), &ev, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) {
		got = abi.Result{Status: res.Status, ContentType: strings.Clone(res.ContentType), Body: append([]byte(nil), res.Body...)}
	})
	return got, stats, err
}

// TestFunctionsFromLambdaTakeEveryFixture sends each event as AWS would.
func TestFunctionsFromLambdaTakeEveryFixture(t *testing.T) {
	t.Parallel()
	wants := map[string]string{
		"s3-event.json":                       `{"request_id":"r-1","source":"s3","items":["ObjectCreated:Put sourcebucket/Happy Face.jpg"]}`,
		"sqs-event.json":                      `{"request_id":"r-1","source":"sqs","items":["MessageID_1 Message Body"]}`,
		"eventbridge-scheduled-event.json":    `{"request_id":"r-1","source":"eventbridge","items":["arn:aws:events:us-east-1:123456789012:rule/my-schedule"]}`,
		"apigw-v2-request-no-authorizer.json": `{"request_id":"r-1","source":"http","items":["GET / from 1.2.3.4, 0 bytes"]}`,
		"apigw-request.json":                  `{"request_id":"r-1","source":"rest","items":["POST /hello/world"]}`,
	}
	files, err := filepath.Glob(fixtures + "*.json")
	require.NoError(t, err)
	require.Len(t, files, len(wants))
	for _, way := range lambdaWays {
		t.Run(way, func(t *testing.T) {
			img := lambdaImage(t, true, "../modules/lambda/"+way)
			for _, file := range files {
				body, err := os.ReadFile(file)
				require.NoError(t, err)
				got, _, err := serveOne(t, img, abi.Event{RequestID: "r-1", Function: "intake", Version: "1", Trigger: abi.TriggerInvoke, Body: body})
				require.NoError(t, err)
				answer := string(got.Body)
				if strings.HasPrefix(filepath.Base(file), "apigw") {
					var response struct {
						StatusCode int
						Body       string
					}
					require.NoError(t, json.Unmarshal(got.Body, &response))
					require.Equal(t, 201, response.StatusCode)
					answer = response.Body
				}
				require.Equal(t, wants[filepath.Base(file)], answer)
				require.Equal(t, "application/json", got.ContentType)
			}
		})
	}
}

// TestFunctionsFromLambdaAnswerHTTP sends requests through the listener.
func TestFunctionsFromLambdaAnswerHTTP(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, `
[function.port]
source = "ROOT/modules/lambda/port"
[[function.port.route]]
path = "/port/{rest:*}"
method = "POST"
[function.unchanged]
source = "ROOT/modules/lambda/unchanged"
warmup = ["ROOT/modules/lambda/intake/testdata/apigw-v2-request-no-authorizer.json"]
[[function.unchanged.route]]
path = "/unchanged"
method = "POST"
[[function.unchanged.route]]
path = "/unchanged/{rest:*}"
method = "POST"
`), time.Now)
	for _, way := range lambdaWays {
		for _, size := range []int{0, 3, 100_000} {
			got := h.post("/"+way+"/a%20b", strings.Repeat("x", size))
			require.Equal(t, 201, got.status, got.body)
			require.Equal(t, strconv.Itoa(size), got.header.Get("X-Bytes"))
			require.Equal(t, "seen=1; HttpOnly", got.header.Get("Set-Cookie"))
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
			require.Equal(t, fmt.Sprintf(`{"request_id":%q,"source":"http","items":["POST /%s/a%%20b from 127.0.0.1, %d bytes"]}`,
				got.header.Get("X-Spore-Request-Id"), way, size), got.body)
		}
	}
}

// TestWhatALambdaFunctionCanSeeAndHowItFails asks the probe in both its forms.
func TestWhatALambdaFunctionCanSeeAndHowItFails(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from upstream") }))
	defer upstream.Close()
	for _, way := range lambdaWays {
		t.Run(way, func(t *testing.T) {
			h := startHost(t, newDir(t, `
[function.probe]
source = "ROOT/host/testdata/lambda/`+way+`"
timeout = "2s"
http_private = ["`+upstream.URL+`"]
[[function.probe.route]]
path = "/{what}"
`), time.Now)
			for path, want := range map[string]struct {
				status int
				body   string
				log    string
			}{
				"/count":      {200, "1", ""},
				"/nothing":    {200, "null", ""},
				"/missing":    {404, "none here", ""},
				"/binary":     {200, "\x00\xff", ""},
				"/error":      {502, "guest_error", "errorString: no such alert"},
				"/named":      {502, "guest_error", "Custom.Type: by its own name"},
				"/panic":      {502, "guest_error", "string: lost my way"},
				"/panicnamed": {502, "guest_error", "Custom.Panic: by its own name too"},
				"/broken":     {502, "guest_error", "half an answer"},
				"/text":       {502, "guest_error", "the function's answer is not JSON"},
				"/wait":       {504, "deadline", "Task timed out after"},
				"/spin":       {504, "deadline", "Task timed out after"},
				"/exit":       {502, "exited", "exited with status 7"},
				"/fetch?url=" + url.QueryEscape(upstream.URL): {200, `"from upstream"`, ""},
			} {
				t.Run(path[1:], func(t *testing.T) {
					got := h.get(path)
					require.Equal(t, want.status, got.status, got.body)
					if want.log == "" {
						require.Equal(t, want.body, got.body)
						return
					}
					require.Contains(t, got.body, want.body)
					h.logged("REPORT RequestId: "+got.header.Get("X-Spore-Request-Id"), 1)
					require.Contains(t, h.logs.String(), want.log)
				})
				require.Equal(t, "1", h.get("/count").body, "the next request is clean")
			}
			req := h.request("GET", "/context", "")
			req.Header.Set("X-Amzn-Trace-Id", "Root=1-5f0c8a9a-0123456789abcdef01234567")
			before := time.Now()
			got := h.do(req)
			var seen map[string]string
			require.NoError(t, json.Unmarshal([]byte(got.body), &seen))
			deadline, err := strconv.ParseInt(seen["deadline"], 10, 64)
			require.NoError(t, err)
			require.WithinRange(t, time.UnixMilli(deadline), before.Add(time.Second), time.Now().Add(3*time.Second))
			delete(seen, "deadline")
			require.Equal(t, map[string]string{
				"id":      got.header.Get("X-Spore-Request-Id"),
				"arn":     "arn:aws:lambda:us-east-1:012345678912:function:probe:1",
				"name":    "probe probe",
				"version": "1 1",
				"trace":   "Root=1-5f0c8a9a-0123456789abcdef01234567 Root=1-5f0c8a9a-0123456789abcdef01234567",
				"left":    "true",
			}, seen)
		})
	}
}

// BenchmarkFunctionsFromLambda is what an event costs in its sandbox, at the median,
// with and without one like it as warmup.
func BenchmarkFunctionsFromLambda(b *testing.B) {
	for _, bench := range []struct{ name, functions, event string }{
		{"small", "testdata/lambda/", "testdata/lambda/small.json"},
		{"s3", "../modules/lambda/", fixtures + "s3-event.json"},
		{"http", "../modules/lambda/", fixtures + "apigw-v2-request-no-authorizer.json"},
	} {
		for _, way := range lambdaWays {
			b.Run(bench.name+"/"+way+"/cold", func(b *testing.B) {
				benchmarkLambda(b, lambdaImage(b, false, bench.functions+way), bench.event)
			})
			b.Run(bench.name+"/"+way+"/warm", func(b *testing.B) {
				benchmarkLambda(b, lambdaImage(b, false, bench.functions+way, bench.event), bench.event)
			})
		}
	}
}

func benchmarkLambda(b *testing.B, img *sandbox.Image, event string) {
	body, err := os.ReadFile(event)
	require.NoError(b, err)
	var all []function.Stats
	for b.Loop() {
		_, stats, err := serveOne(b, img, abi.Event{RequestID: "r-1", Function: "intake", Version: "1", Trigger: abi.TriggerInvoke, Body: body})
		require.NoError(b, err)
		require.GreaterOrEqual(b, stats.DirtyPages, 0, "the sandbox was dropped")
		all = append(all, stats)
	}
	slices.SortFunc(all, func(x, y function.Stats) int { return cmp.Compare(x.Duration, y.Duration) })
	median := all[len(all)/2]
	b.ReportMetric(float64(median.Duration.Microseconds()), "guest-us/median")
	b.ReportMetric(float64(median.DirtyPages), "pages/median")
}
