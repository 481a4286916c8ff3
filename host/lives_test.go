package main

import (
	"context"
	"os"
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
	log, err := os.Create(filepath.Join(t.TempDir(), "log")) // a file: reading along would take processor time from the host
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = &h.out, log
	logged := logFile(log.Name())
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM), "the process has ended: %s", logged)
		require.NoError(t, <-ended)
		text, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		require.NotContains(t, string(text), `"msg":"panic"`)
	})
	listens := regexp.MustCompile(`spore serves (http://\S+)`)
	require.Eventually(t, func() bool {
		m := listens.FindStringSubmatch(h.out.String())
		if m != nil {
			h.url = m[1]
		}
		return m != nil
	}, 2*time.Minute, 10*time.Millisecond, "%s", logged)
	return h
}

// logFile is the path of a host's log. In a failure's message it is the end of what the
// log says by then: the file goes with the test.
type logFile string

func (f logFile) String() string {
	text, _ := os.ReadFile(string(f))
	return string(text[max(0, len(text)-2000):])
}

func quantile(took []time.Duration, q float64) time.Duration {
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))]
}

// TestTheHostLivesUnderEveryAttack attacks a host process through one function.
// Its health and another function are answered all the while. How long they take,
// and how long they took just before, is logged; the machine decides that, too.
func TestTheHostLivesUnderEveryAttack(t *testing.T) {
	h := startProcess(t, newDir(t, victims))
	span := time.Second
	if *long {
		span = 10 * time.Second
	}
	during := func(attack func(ctx context.Context)) (victim, health []time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { attack(ctx) })
		wg.Go(func() { victim = h.ask(ctx, question{"/victim/hello", 5 * time.Millisecond}) })
		wg.Go(func() { health = h.ask(ctx, question{"/healthz", 20 * time.Millisecond}) })
		wg.Wait()
		return victim, health
	}
	h.get("/victim/hello")
	h.get("/count")
	for _, a := range attacks {
		t.Run(a.Name, func(t *testing.T) {
			quiet, _ := during(func(context.Context) {})
			var saw attackResult
			victim, health := during(func(ctx context.Context) { saw = h.attack(ctx, a) })
			require.Zero(t, saw.Failures, "an attacker is answered, too")
			require.NotZero(t, saw.Answers)
			calm, worst := quantile(quiet, 0.99), quantile(victim, 0.99)
			t.Logf("victim p50 %8v p90 %8v p99 %8v (%.1f times quiet %v), healthz at most %8v, %d attacks answered %v",
				quantile(victim, 0.5), quantile(victim, 0.9), worst, float64(worst)/float64(calm), calm, slices.Max(health), saw.Answers, saw.Statuses)
		})
	}
	require.Equal(t, "1", h.get("/count").body)
}
