package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// victims is what is attacked: a function of somebody else's beside the probe.
const victims = probe + `
[function.victim]
source = "ROOT/modules/hello"
[[function.victim.route]]
path = "/victim/hello"
`

// startProcess serves dir by a process of its own and ends it with the test.
func startProcess(t *testing.T, dir string) *testHost {
	t.Helper()
	h := &testHost{t: t, dir: dir}
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(dir, "functions.toml"))
	cmd.Stdout, cmd.Stderr = &h.out, &h.logs
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM), "the process has ended: %s", tail(h.logs.String()))
		require.NoError(t, <-ended)
	})
	listens := regexp.MustCompile(`spore serves (http://\S+)`)
	require.Eventually(t, func() bool {
		m := listens.FindStringSubmatch(h.out.String())
		if m != nil {
			h.url = m[1]
		}
		return m != nil
	}, 2*time.Minute, 10*time.Millisecond, "%s", &h.logs)
	return h
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// client has connections enough for an attack.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// times asks for a path until ctx ends and returns how long each answer took. Any
// answer but 200 fails the test.
func (h *testHost) times(ctx context.Context, client *http.Client, path string, every time.Duration) (took []time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		start := time.Now()
		res, err := client.Get(h.url + path)
		if err != nil {
			h.t.Errorf("%s: %v", path, err)
			return took
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 {
			h.t.Errorf("%s: %d %s", path, res.StatusCode, body)
			return took
		}
		took = append(took, time.Since(start))
		<-tick.C
	}
	return took
}

func quantile(took []time.Duration, q float64) time.Duration {
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))]
}

// TestTheHostLivesUnderEveryAttack attacks a host process through one function.
// Its health and another function are answered all the while. How long they take
// is logged; the machine decides that, too.
func TestTheHostLivesUnderEveryAttack(t *testing.T) {
	h := startProcess(t, newDir(t, victims))
	client := newClient(t)
	during := func(attack func(ctx context.Context)) (victim, health []time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { attack(ctx) })
		wg.Go(func() { victim = h.times(ctx, client, "/victim/hello", 5*time.Millisecond) })
		wg.Go(func() { health = h.times(ctx, client, "/healthz", 20*time.Millisecond) })
		wg.Wait()
		return victim, health
	}
	h.get("/victim/hello")
	h.get("/count")
	quiet, _ := during(func(context.Context) {})
	t.Logf("%-28s victim p50 %8v p99 %8v", "quiet", quantile(quiet, 0.5), quantile(quiet, 0.99))

	for _, a := range attacks {
		var saw attackResult
		victim, health := during(func(ctx context.Context) { saw = h.attack(ctx, a) })
		require.Zero(t, saw.Failures, "%s: an attacker is answered, too", a.Name)
		require.NotZero(t, saw.Answers, a.Name)
		require.NotEmpty(t, victim, a.Name)
		require.NotEmpty(t, health, a.Name)
		t.Logf("%-28s victim p50 %8v p99 %8v (%.1f times quiet), healthz at most %8v, %d attacks answered %v", a.Name,
			quantile(victim, 0.5), quantile(victim, 0.99), float64(quantile(victim, 0.99))/float64(quantile(quiet, 0.99)), slices.Max(health), saw.Answers, saw.Statuses)
	}
	require.Equal(t, "1", h.get("/count").body)
	require.NotContains(t, h.logs.String(), `"msg":"panic"`)
}
