package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the children that a run starts.
func TestMain(m *testing.M) {
	ran, err := runChild(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !ran {
		os.Exit(m.Run())
	}
}

// TestRun makes a very short run of everything and looks at all that comes out of
// it but the figures.
func TestRun(t *testing.T) {
	res, err := run(t.Context(), settings{rounds: 2, block: 20 * time.Millisecond, only: regexp.MustCompile("sandbox")}, cacheDir(t), io.Discard)
	require.NoError(t, err)
	for _, s := range res.all() {
		require.Len(t, s.rounds, 2, s.name)
		require.Positive(t, quantile(s.samples, 0.5), s.name)
	}
	for _, s := range res.served {
		require.Positive(t, s.requests, s.name)
		require.Equal(t, strings.HasSuffix(s.name, "spore") || strings.HasSuffix(s.name, "unisolated"), s.logged > 0, "%s logged %v", s.name, s.logged)
	}
	t.Run("text", func(t *testing.T) { testText(t, res) })
	t.Run("json", func(t *testing.T) { testJSON(t, res) })
	t.Run("svg", func(t *testing.T) { testSVG(t, res) })
}

// cacheDir is kept between runs of the tests: compiling takes longer than they do.
func cacheDir(t *testing.T) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "spore-test", "bench")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}

func testText(t *testing.T, res *results) {
	var out bytes.Buffer
	require.NoError(t, printText(&out, res))
	for _, p := range promises() {
		line := fmt.Sprintf(`(?m)^%s +%s, %s( +[\d.]+){3} +at (most|least) [\d.]+ +([\d.]+|-) +(holds|misses)$`, p.workload, regexp.QuoteMeta(p.text), p.unit)
		require.Regexp(t, line, out.String())
	}
	for _, s := range res.timed {
		require.Regexp(t, `(?m)^ +`+s.total.name+` `, out.String())
	}
	for _, s := range res.served {
		require.Regexp(t, `(?m)^ +`+s.name+` `, out.String())
	}
}

func testJSON(t *testing.T, res *results) {
	var out bytes.Buffer
	require.NoError(t, printJSON(&out, res))
	verdicts := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var p promised
		require.NoError(t, json.Unmarshal([]byte(line), &p))
		if p.Promise != "" {
			verdicts[p.Promise] = p.Verdict
		}
	}
	for _, p := range promises() {
		require.Contains(t, []string{"holds", "misses"}, verdicts[p.workload+" "+p.text])
	}
}

func testSVG(t *testing.T, res *results) {
	var words []string
	dec := xml.NewDecoder(bytes.NewReader(plot(res)))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			words = append(words, string(text))
		}
	}
	for _, row := range rows {
		require.Contains(t, words, row.label)
	}
}

func TestPromisesAreJudgedByTheMedian(t *testing.T) {
	result := func(p promise, figures ...float64) bool {
		p.workload, p.bound = "w1", 1
		p.figures = func(*results) []float64 { return figures }
		return judgeOne(p, nil).holds
	}
	require.True(t, result(promise{}, 9, 1, 0.5))
	require.False(t, result(promise{}, 9, 1.1, 0.5))
	require.True(t, result(promise{atLeast: true}, 0.1, 1, 9))
	require.False(t, result(promise{atLeast: true}, 0.1, 0.9, 9))
	require.False(t, result(promise{}, 0.9, 1.2), "between two rounds lies their mean")
}

// TestClientCountsNoErrors: an answer that is not the expected one fails a block.
func TestClientCountsNoErrors(t *testing.T) {
	for name, answer := range map[string]string{
		"the expected answer": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"another body":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
		"a longer body":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokok",
		"an error":            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nok",
		"no length":           "HTTP/1.1 200 OK\r\n\r\nok",
		"half an answer":      "HTTP/1.1 200 OK\r\nContent-Le",
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			go answerOnce(ln, answer)
			w := new(worker)
			o := order{Address: ln.Addr().String(), Request: []byte("GET / HTTP/1.1\r\n\r\n"), Answer: []byte("ok")}
			w.run(&o, time.Now(), time.Now())
			require.Equal(t, name == "the expected answer", w.err == nil, "%v", w.err)
		})
	}
}

func answerOnce(ln net.Listener, answer string) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Read(make([]byte, 100))
	_, _ = conn.Write([]byte(answer))
}
