package sandbox_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// languages have a guest with the same cases each: Go's by the SDK, the others by
// nothing but abi/README.md. Their modules are built by abi/testdata/guests/build.sh.
var languages = map[string]func(testing.TB) []byte{
	"go": func(tb testing.TB) []byte { return testmodule.Build(tb, "testdata/conformance") },
	"c":  prebuilt("c/conformance.wasm"),
	"as": prebuilt("assemblyscript/conformance.wasm"),
}

func prebuilt(name string) func(testing.TB) []byte {
	return func(tb testing.TB) []byte {
		tb.Helper()
		wasm, err := os.ReadFile(filepath.Join("../../abi/testdata/guests", name))
		require.NoError(tb, err)
		return wasm
	}
}

// TestModulesAreBuiltFromTheirSources fails when a source was changed and build.sh
// was not run.
func TestModulesAreBuiltFromTheirSources(t *testing.T) {
	const dir = "../../abi/testdata/guests"
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	require.NoError(t, err)
	known := map[string]bool{}
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		file, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, sum, sandbox.Digest(file), "%s has changed: run %s/build.sh", name, dir)
		known[name] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		name, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		require.True(t, known[filepath.ToSlash(name)], "%s is not in SHA256SUMS: run %s/build.sh", name, dir)
	}
}

// records collects what guests log.
type records struct {
	mu   sync.Mutex
	list []string
}

func (r *records) take(id string, rec abi.LogRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, fmt.Sprint(id, " ", rec.Level, " ", rec.Message, " ", rec.Attrs))
}

// takeAll returns what was collected since the last time.
func (r *records) takeAll() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// late is a body that takes a moment before each piece, so that the guest has to
// wait for it.
type late struct{ io.Reader }

func (l late) Read(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return l.Reader.Read(p[:min(len(p), 100)])
}

// fakeHTTP is an upstream that knows what the guests send.
func fakeHTTP(_ context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
	if req.Method != "POST" || !slices.Equal(req.Headers, abi.Pairs{{Name: "x-from", Value: "guest"}}) || string(req.Body) != "sent" {
		return abi.HTTPHead{Kind: abi.Invalid}, nil
	}
	head := abi.HTTPHead{Status: 203, Headers: abi.Pairs{{Name: "x-upstream", Value: "yes"}}}
	half := func(kind abi.Kind) io.Reader {
		return io.MultiReader(strings.NewReader("half"), iotest.ErrReader(&function.Error{Kind: kind}))
	}
	bodies := map[string]io.Reader{
		"u:empty": strings.NewReader(""),
		"u:late":  late{strings.NewReader(strings.Repeat("a", 250))},
		"u:large": bytes.NewReader(bytes.Repeat([]byte{1}, 3<<20)),
		"u:long":  half(abi.TooLarge), "u:slow": half(abi.Deadline), "u:broken": half(abi.Unavailable), "u:odd": iotest.ErrReader(errors.New("odd")),
	}
	body := bodies[req.URL]
	if body == nil {
		return abi.HTTPHead{Kind: abi.Denied, Message: "not granted"}, nil
	}
	return head, io.NopCloser(body)
}

var longSecret = strings.Repeat("0123456789", 500)

func languageSettings(logs *records) sandbox.Settings {
	return sandbox.Settings{Name: "guest", MemoryMax: 64 << 20, InitTimeout: 10 * time.Second, Env: map[string]string{"COLOUR": "blue", "EMPTY": ""},
		Capabilities: sandbox.Capabilities{
			HTTP: fakeHTTP,
			Secret: func(name string) ([]byte, error) {
				if value, ok := map[string]string{"TOKEN": "s3cret", "LONG": longSecret, "EMPTY": ""}[name]; ok {
					return []byte(value), nil
				}
				return nil, &function.Error{Kind: abi.Denied}
			},
			Log: logs.take,
		}}
}

// guestCase is one event, and what comes of it with every guest.
type guestCase struct {
	path    string
	event   abi.Event
	want    string   // the answer's body
	kind    abi.Kind // of the event's error
	fails   string   // in the error's text
	logs    []string
	missing map[string]string // the guests that cannot do this, and why
}

func guestCases() map[string]guestCase {
	mib := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	reversed := slices.Clone(mib)
	slices.Reverse(reversed)
	whole := abi.Event{DeadlineMS: 1 << 40, ResponseDeadlineMS: 2, Function: "f", Version: "3", Trigger: "later", TraceID: "t",
		ContentType: "text/ö", Headers: abi.Pairs{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b"}}, Method: "PUT", RawQuery: "q=%20",
		Params: abi.Pairs{{Name: "name", Value: "Zoë"}}, ClientAddr: "[::1]:9", Body: []byte("body")}
	greased := whole
	greased.Unknown = []abi.Field{{Type: 17, Data: []byte("later")}, {Type: 0x101, Data: []byte("x")}, {Type: 0xf00d}}
	const told = "id 1099511627776 2\nf 3 later t\nPUT /event q=%20 [::1]:9\ntext/ö 4 4\nheader a=1\nheader a=2\nheader b=\nparam name=Zoë\n"
	body := func(text string) abi.Event { return abi.Event{Body: []byte(text)} }
	return map[string]guestCase{
		"a counter":                       {path: "/count", want: "1"},
		"every field of an event":         {path: "/event", event: whole, want: told},
		"unknown fields are ignored":      {path: "/event", event: greased, want: told},
		"an event with nothing in it":     {path: "/event", want: "id 0 0\n   \n /event  \n 0 0\n"},
		"an empty body":                   {path: "/reverse"},
		"the longest inline body":         {path: "/reverse", event: abi.Event{Body: mib[:abi.MaxInlineBody]}, want: string(reversed[:abi.MaxInlineBody])},
		"a body that has to be fetched":   {path: "/reverse", event: abi.Event{Body: mib}, want: string(reversed)},
		"an answer, then more work":       {path: "/early", want: "first", logs: []string{"id 0 still here []"}},
		"an error":                        {path: "/error", kind: abi.GuestError, fails: "NoSuchAlert: no such alert"},
		"an answer over the limit":        {path: "/large", kind: abi.GuestError, fails: "too_large"},
		"a secret":                        {path: "/secret", event: body("TOKEN"), want: "s3cret"},
		"an empty secret":                 {path: "/secret", event: body("EMPTY")},
		"a secret over the first buffer":  {path: "/secret", event: body("LONG"), want: longSecret},
		"a secret that is not granted":    {path: "/secret", event: body("OTHER"), want: "denied"},
		"what initialisation is refused":  {path: "/init", want: "denied denied"},
		"a call that is not granted":      {path: "/fetch", event: body("u:other"), want: "denied"},
		"a call with an empty answer":     {path: "/fetch", event: body("u:empty"), want: "203 yes 0 0"},
		"a call to wait for":              {path: "/fetch", event: body("u:late"), want: "203 yes 250 24250"},
		"a call with a large answer":      {path: "/fetch", event: body("u:large"), want: "203 yes 3145728 3145728"},
		"a call's answer over the limit":  {path: "/fetch", event: body("u:long"), want: "too_large"},
		"a call's answer out of time":     {path: "/fetch", event: body("u:slow"), want: "deadline"},
		"a call's answer that breaks off": {path: "/fetch", event: body("u:broken"), want: "unavailable"},
		"a call's answer that ends oddly": {path: "/fetch", event: body("u:odd"), want: "unavailable"},
		"records and lines of the log": {path: "/log", want: "ok",
			logs: []string{"id -4 structured [{key value}]", "id 0 to stdout [{stream stdout}]", "id 0 to stderr [{stream stderr}]"}},
		"memory that grows":   {path: "/grow", want: "ok"},
		"a trap":              {path: "/trap", kind: abi.Trapped},
		"an exit":             {path: "/exit", kind: abi.Exited, fails: "status 3"},
		"an endless loop":     {path: "/spin", kind: abi.Deadline},
		"a call out of order": {path: "/twice", want: "out_of_order", kind: abi.OutOfOrder},
		"no answer":           {path: "/nothing", kind: abi.NoAnswer, missing: map[string]string{"go": "the SDK answers in any case"}},
	}
}

// TestGuestsOfOtherLanguages takes the same events to a guest in each language.
func TestGuestsOfOtherLanguages(t *testing.T) {
	for language, module := range languages {
		t.Run(language, func(t *testing.T) {
			var logs records
			img := prepareLanguage(t, module(t), &logs)
			for name, tc := range guestCases() {
				t.Run(name, func(t *testing.T) {
					if why, ok := tc.missing[language]; ok {
						t.Skip(why)
					}
					tc.run(t, img, &logs)
				})
			}
			for name, check := range guestChecks {
				t.Run(name, func(t *testing.T) { check(t, img) })
			}
		})
	}
}

func prepareLanguage(t *testing.T, module []byte, logs *records) *sandbox.Image {
	t.Helper()
	img := prepareModule(t, module, languageSettings(logs))
	require.Empty(t, img.Note(), "two sandboxes draw different numbers")
	return img
}

func (tc guestCase) run(t *testing.T, img *sandbox.Image, logs *records) {
	ev, limit := tc.event, 5*time.Second
	ev.RequestID, ev.Path = "id", tc.path
	if tc.kind == abi.Deadline {
		limit = 100 * time.Millisecond
	}
	logs.takeAll()
	res, _, err := tell(t, img, ev, limit)
	require.Equal(t, tc.kind, function.KindOf(err), "%v", err)
	if tc.kind != abi.None {
		require.ErrorContains(t, err, tc.fails)
	}
	require.Equal(t, tc.want, string(res.Body))
	require.ElementsMatch(t, tc.logs, logs.takeAll())
	res, _, err = tell(t, img, abi.Event{Path: "/count"}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, "1", string(res.Body), "the next event is clean")
}

// tell serves ev as it is, while ask sets its deadline. The answer is a copy.
func tell(t *testing.T, img *sandbox.Image, ev abi.Event, limit time.Duration) (got abi.Result, stats function.Stats, err error) {
	t.Helper()
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	defer sb.Close()
	end := time.Now().Add(limit)
	stats, err = sb.Serve(t.Context(), &ev, sandbox.Deadlines{Response: end, End: end}, func(res *abi.Result, _ bool) { got = kept(res) })
	return got, stats, err
}

// guestChecks are the cases that do not come down to one answer.
var guestChecks = map[string]func(*testing.T, *sandbox.Image){
	"a hundred counters in restored sandboxes": func(t *testing.T, img *sandbox.Image) {
		restored := 0
		for range 100 {
			res, stats, err := tell(t, img, abi.Event{Path: "/count"}, 5*time.Second)
			require.NoError(t, err)
			require.Equal(t, "1", string(res.Body))
			if stats.DirtyPages >= 0 {
				restored++
			}
		}
		if runtime.GOOS == "linux" {
			require.Equal(t, 100, restored)
		}
	},
	"an echo": func(t *testing.T, img *sandbox.Image) {
		headers := abi.Pairs{{Name: "x-one", Value: "1"}, {Name: "x-one", Value: "\xff\x00"}, {Name: "x-two"}}
		ev := abi.Event{Path: "/echo", ContentType: "image/png", Headers: headers, Body: []byte("\x00\xff")}
		res, _, err := tell(t, img, ev, 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, abi.Result{Status: 201, ContentType: "image/png", Headers: headers, Body: ev.Body}, res)
	},
	"arguments and environment": func(t *testing.T, img *sandbox.Image) {
		lines := strings.Split(said(t, img, "/env"), "\n")
		require.Subset(t, lines, []string{"COLOUR=blue", "EMPTY="})
		require.Equal(t, "guest", lines[len(lines)-1])
	},
	"clocks": func(t *testing.T, img *sandbox.Image) {
		before := time.Now().UnixNano()
		var real, slept int64
		_, err := fmt.Sscan(said(t, img, "/clock"), &real, &slept)
		require.NoError(t, err)
		require.GreaterOrEqual(t, real, before)
		require.LessOrEqual(t, real, time.Now().UnixNano())
		require.GreaterOrEqual(t, slept, int64(20*time.Millisecond))
		require.Less(t, slept, int64(5*time.Second))
	},
	"random numbers never repeat": func(t *testing.T, img *sandbox.Image) {
		seen := map[string]bool{}
		for range 500 {
			for _, v := range strings.Fields(said(t, img, "/random")) {
				require.False(t, seen[v], "%s repeats", v)
				seen[v] = true
			}
		}
		require.Len(t, seen, 1000)
	},
}

// said returns a guest's answer to an event that is nothing but a path.
func said(t *testing.T, img *sandbox.Image, path string) string {
	t.Helper()
	res, _, err := tell(t, img, abi.Event{Path: path}, 5*time.Second)
	require.NoError(t, err)
	return string(res.Body)
}

// TestGuestsFollowTheVectors has the codecs of the guests in other languages
// decode the golden vectors and encode them again, in a sandbox. Go's codec is
// package abi, whose own TestVectors asks for more than bytes.
func TestGuestsFollowTheVectors(t *testing.T) {
	for _, language := range []string{"c", "as"} {
		t.Run(language, func(t *testing.T) {
			var logs records
			img := prepareLanguage(t, languages[language](t), &logs)
			tried, skipped := 0, 0
			for _, f := range vectorFiles(t) {
				if strings.HasPrefix(f.Frame, "kv_") { // these guests are older than kv_start
					continue
				}
				for _, v := range f.Vectors {
					frame := v.frame(t)
					if len(frame) > abi.MaxBody { // no event can bring it to the guest
						skipped++
						continue
					}
					tried++
					t.Run(f.Frame+"/"+v.Name, func(t *testing.T) { v.check(t, img, "/frame/"+f.Frame, frame) })
				}
			}
			t.Logf("%d vectors, and %d over the limit of an event's body", tried, skipped)
			require.Greater(t, tried, 20*skipped)
		})
	}
}

func (v *vector) check(t *testing.T, img *sandbox.Image, path string, frame []byte) {
	res, _, err := tell(t, img, abi.Event{Path: path, Body: frame}, 5*time.Second)
	require.NoError(t, err)
	switch {
	case v.Error != "":
		require.Equal(t, uint32(400), res.Status)
		require.Equal(t, v.Error, string(res.Body))
	case strings.Contains(string(v.Value), `"Unknown"`): // the guests pass nothing on, and so keep no unknown fields
		require.Zero(t, res.Status, "%s", res.Body)
		require.Less(t, len(res.Body), len(frame))
	default:
		require.Zero(t, res.Status, "%s", res.Body)
		require.True(t, bytes.Equal(frame, res.Body), "encoded again it is %x", res.Body)
	}
}

// vector and vectorFile are those of abi/README.md section 10.
type vector struct {
	Name, Error string
	Bytes       []string
	Value       json.RawMessage
}

type vectorFile struct {
	Frame   string
	Vectors []vector
}

func vectorFiles(t *testing.T) []vectorFile {
	t.Helper()
	paths, err := filepath.Glob("../../abi/testdata/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 8)
	files := make([]vectorFile, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &files[i]), path)
	}
	return files
}

func (v *vector) frame(t *testing.T) (frame []byte) {
	t.Helper()
	for _, chunk := range v.Bytes {
		digits, times, repeated := strings.Cut(chunk, "*")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		require.NoError(t, err)
		n := 1
		if repeated {
			n, err = strconv.Atoi(times)
			require.NoError(t, err)
		}
		frame = append(frame, bytes.Repeat(part, n)...)
	}
	return frame
}
