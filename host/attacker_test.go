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

// attack attacks the host until ctx ends, by a process of its own: who attacks has
// machines of their own, so what the clients cost is kept apart from the host and
// from who measures it, as far as a low priority can.
func (h *testHost) attack(ctx context.Context, a attack) attackResult {
	h.t.Helper()
	order, err := json.Marshal(a)
	require.NoError(h.t, err)
	cmd := exec.Command("nice", "-n", "19", "attack", h.url, string(order))
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	end, err := cmd.StdinPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, cmd.Start())
	<-ctx.Done()
	require.NoError(h.t, end.Close())
	require.NoError(h.t, cmd.Wait())
	var saw attackResult
	require.NoError(h.t, json.Unmarshal(out.Bytes(), &saw), "%s", &out)
	return saw
}

// attackMain is the command of that process. It ends with its standard input.
func attackMain() {
	var a attack
	if err := json.Unmarshal([]byte(os.Args[2]), &a); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(a.run(ctx, os.Args[1])); err != nil {
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
	req, err := http.NewRequest(a.Method, host+a.Path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
