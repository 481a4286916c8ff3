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

// attack is a load that clients put on functions, each the next request as soon as
// the last is answered. It is named for the rows of the list of attacks that it is.
type attack struct {
	Name, Method string
	Paths        []string // asked for by turns
	BodyBytes    int
	Clients      int
	Statuses     []int // of its answers, beside 429, 503 and 504
}

var attacks = []attack{
	{"G1 endless loops", "GET", []string{"/spin"}, 0, 50, nil},
	{"G4 endless bulk instructions", "GET", []string{"/clear"}, 0, 8, nil},
	{"G3 endless host calls", "GET", []string{"/entropy"}, 0, 8, nil},
	{"G5 sleepers", "GET", []string{"/sleep"}, 0, 300, nil},
	{"G6 memory", "GET", []string{"/grow"}, 0, 8, []int{502}},
	{"G8 recursion", "GET", []string{"/recurse"}, 0, 4, []int{502}},
	{"G11 floods of output", "GET", []string{"/flood"}, 0, 4, []int{200}},
	{"G9 G10 traps and exits", "GET", []string{"/map", "/trap", "/exit", "/deadlock", "/unlock"}, 0, 8, []int{502}},
	{"G10 panics", "GET", []string{"/panic"}, 0, 8, []int{502}},
	{"bodies of 6 MiB", "POST", []string{"/body"}, 6 << 20, 8, []int{200}},
	{"G13 answers over the limit", "GET", []string{"/large"}, 0, 8, []int{502}},
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
			for i := 0; ctx.Err() == nil; i++ {
				note(a.one(client, host+a.Paths[i%len(a.Paths)], body))
			}
		})
	}
	clients.Wait()
	return saw
}

func (a attack) one(client *http.Client, url string, body []byte) (status int, err error) {
	req, err := http.NewRequest(a.Method, url, nil)
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
