package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// attack is a load that clients put on the probe, each the next request as soon as
// the last is answered.
type attack struct {
	Name, Method, Path string
	BodyBytes          int
	Clients            int
}

var attacks = []attack{
	{"endless loops", "GET", "/spin", 0, 50},
	{"endless bulk instructions", "GET", "/clear", 0, 8},
	{"endless host calls", "GET", "/entropy", 0, 8},
	{"sleepers", "GET", "/sleep", 0, 300},
	{"memory", "GET", "/grow", 0, 8},
	{"recursion", "GET", "/recurse", 0, 4},
	{"floods of output", "GET", "/flood", 0, 4},
	{"traps and exits", "GET", "/map", 0, 8},
	{"panics", "GET", "/panic", 0, 8},
	{"bodies of 6 MiB", "POST", "/body", 6 << 20, 8},
	{"answers over the limit", "GET", "/large", 0, 8},
}

// attackResult is what the clients of an attack saw.
type attackResult struct {
	Answers, Failures int
	Statuses          []int
}

// attack attacks the host until ctx ends.
func (h *testHost) attack(ctx context.Context, a attack) (saw attackResult) {
	h.t.Helper()
	h.elsewhere(ctx, "attack", a, &saw, "chrt --idle 0", "nice -n 19")
	return saw
}

func attackMain() { clientMain(attack.run) }

// question is a path that is asked for again and again, after every tick that is
// not over before the last answer.
type question struct {
	Path string
	Tick time.Duration
}

// ask asks until ctx ends and returns how long each answer took. Any answer but 200
// fails the test.
func (h *testHost) ask(ctx context.Context, q question) (took []time.Duration) {
	h.t.Helper()
	h.elsewhere(ctx, "ask", q, &took, "chrt --fifo 1")
	require.NotEmpty(h.t, took, q.Path)
	return took
}

func askMain() { clientMain(question.run) }

func (q question) run(ctx context.Context, host string) (took []time.Duration) {
	tick := time.NewTicker(q.Tick)
	defer tick.Stop()
	for ctx.Err() == nil {
		start := time.Now()
		res, err := http.Get(host + q.Path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "ask:", err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		took = append(took, time.Since(start))
		if res.StatusCode != 200 {
			fmt.Fprintf(os.Stderr, "ask: %s: %d %s\n", q.Path, res.StatusCode, body)
			os.Exit(1)
		}
		<-tick.C
	}
	return took
}

// elsewhere runs a client of the host until ctx ends, in a process of its own, and
// reads what it saw. Clients have machines of their own, so what they cost is kept
// apart from the host as far as one machine can: attackers get what others leave, and
// those who measure wait for nobody. Of the ways to run it the first is taken that this
// machine allows, if any.
func (h *testHost) elsewhere(ctx context.Context, command string, order, saw any, ways ...string) {
	h.t.Helper()
	text, err := json.Marshal(order)
	require.NoError(h.t, err)
	args := []string{command, h.url, string(text)}
	for _, way := range ways {
		prefix := strings.Fields(way)
		if exec.Command(prefix[0], append(prefix[1:], "true")...).Run() == nil {
			args = append(prefix, args...)
			break
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	end, err := cmd.StdinPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, cmd.Start())
	<-ctx.Done()
	require.NoError(h.t, end.Close())
	require.NoError(h.t, cmd.Wait())
	require.NoError(h.t, json.Unmarshal(out.Bytes(), saw), "%s", &out)
}

// clientMain is the command of such a process. It ends with its standard input.
func clientMain[Order, Saw any](run func(order Order, ctx context.Context, host string) Saw) {
	var order Order
	if err := json.Unmarshal([]byte(os.Args[2]), &order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(run(order, ctx, os.Args[1])); err != nil {
		os.Exit(1)
	}
}

func (a attack) run(ctx context.Context, host string) (saw attackResult) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: a.Clients}, Timeout: 30 * time.Second}
	body := bytes.Repeat([]byte("x"), a.BodyBytes)
	var mu sync.Mutex
	note := func(status int, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			fmt.Fprintln(os.Stderr, "attack:", err)
			saw.Failures++
			return
		case !slices.Contains(saw.Statuses, status):
			saw.Statuses = append(saw.Statuses, status)
		}
		saw.Answers++
	}
	var clients sync.WaitGroup
	for range a.Clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				note(a.one(client, host, body))
			}
		})
	}
	clients.Wait()
	return saw
}

func (a attack) one(client *http.Client, host string, body []byte) (status int, err error) {
	req, err := http.NewRequest(a.Method, host+a.Path, nil)
	if err != nil {
		return 0, err
	}
	if len(body) > 0 { // sent in pieces: the kernel, which the host shares with its attacker here, does not interrupt itself
		req.Body, req.ContentLength = io.NopCloser(struct{ io.Reader }{bytes.NewReader(body)}), int64(len(body))
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
