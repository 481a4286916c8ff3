package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
)

// victims is what is attacked: a function of somebody else's beside the probe, and one
// that is to be replaced by hostile versions.
const victims = probe + `
[function.victim]
source = "ROOT/modules/hello"
[[function.victim.route]]
path = "/victim/hello"
[function.changing]
module = "changing.wasm"
init_timeout = "1s"
[[function.changing.route]]
path = "/changing/version"
`

// withHandmade returns toml with the hand-made functions in it, whose modules it
// writes to dir.
func withHandmade(t *testing.T, dir, toml string) string {
	t.Helper()
	for name, m := range handmades {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".wasm"), m.bytes(), 0o600))
		toml += strings.ReplaceAll(`
[function.NAME]
module = "NAME.wasm"
timeout = "1s"
[[function.NAME.route]]
path = "/handmade/NAME"
`, "NAME", name)
	}
	return toml
}

// replace puts a module in the place of the changing function's at once.
func (h *testHost) replace(wasm []byte) {
	h.t.Helper()
	path := filepath.Join(h.dir, "new")
	require.NoError(h.t, os.WriteFile(path, wasm, 0o600))
	require.NoError(h.t, os.Rename(path, filepath.Join(h.dir, "changing.wasm")))
}

// saying is a module that answers with a word.
func saying(word string) []byte { return answeringResult(abi.Result{Body: []byte(word)}).bytes() }

func quantile(took []time.Duration, q float64) time.Duration {
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))]
}

// toll is the worst that any attack did to those who were not attacked.
type toll struct {
	health, victim     time.Duration // the longest answer; the victim's 99th percentile
	quiet              time.Duration // the victim's 99th percentile just before that
	healthIn, victimIn string        // attacks
}

func (l *toll) ratio() float64 { return float64(l.victim) / float64(max(1, l.quiet)) }

// note takes an attack in and returns its own toll in words.
func (l *toll) note(attack string, quiet, victim, health []time.Duration) string {
	now := toll{slices.Max(health), quantile(victim, 0.99), quantile(quiet, 0.99), attack, attack}
	if now.health > l.health {
		l.health, l.healthIn = now.health, attack
	}
	if now.ratio() > l.ratio() {
		l.victim, l.quiet, l.victimIn = now.victim, now.quiet, attack
	}
	return fmt.Sprintf("victim p50 %8v p90 %8v p99 %8v (%.1f times quiet %v), healthz at most %8v",
		quantile(victim, 0.5), quantile(victim, 0.9), now.victim, now.ratio(), now.quiet, now.health)
}

// TestTheHostLivesUnderEveryAttack attacks a host process through its functions.
// Its health and another function are answered all the while, and it is the same
// process afterwards. How long they take, and how long they took just before, is
// logged; the machine decides that, too.
func TestTheHostLivesUnderEveryAttack(t *testing.T) {
	dir := newDir(t, "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "changing.wasm"), saying("before"), 0o600))
	writeConfig(t, dir, withHandmade(t, dir, victims))
	h := startProcess(t, dir)
	span := time.Second
	if *long {
		span = 10 * time.Second
	}
	// during asks until the attack is over, or ctx is.
	during := func(ctx context.Context, attack func()) (victim, health []time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { victim = h.ask(ctx, question{"/victim/hello", 5 * time.Millisecond}) })
		wg.Go(func() { health = h.ask(ctx, question{"/healthz", 20 * time.Millisecond}) })
		attack()
		cancel()
		wg.Wait()
		return victim, health
	}
	// spell is a time for an attack, or for quiet.
	spell := func(attack func(ctx context.Context)) (victim, health []time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		return during(ctx, func() { attack(ctx) })
	}
	quiet := func() []time.Duration {
		victim, _ := spell(func(ctx context.Context) { <-ctx.Done() })
		return victim
	}
	h.get("/victim/hello")
	h.get("/count")
	var worst toll
	for _, a := range attacks {
		t.Run(a.Name, func(t *testing.T) {
			before := quiet()
			var saw attackResult
			victim, health := spell(func(ctx context.Context) { saw = h.attack(ctx, a) })
			require.Zero(t, saw.Failures, "an attacker is answered, too")
			require.NotZero(t, saw.Answers)
			require.Subset(t, append([]int{429, 503, 504}, a.Statuses...), saw.Statuses)
			t.Logf("%s, %d attacks answered %v", worst.note(a.Name, before, victim, health), saw.Answers, saw.Statuses)
			h.requireSameProcess(t)
		})
	}
	for name, attempts := range deployments() {
		t.Run(name, func(t *testing.T) {
			before := quiet()
			victim, health := during(t.Context(), func() {
				for _, a := range attempts {
					h.replace(a.wasm)
					h.next("not deployed; the old version goes on", "deploy changing: ", a.refusal)
					require.Equal(t, "before", h.get("/changing/version").body)
				}
			})
			t.Logf("%s, %d deployments refused", worst.note(name, before, victim, health), len(attempts))
			h.requireSameProcess(t)
		})
	}
	h.replace(saying("after"))
	h.next(`"live"`, `"changing"`)
	require.Equal(t, "after", h.get("/changing/version").body)
	require.Equal(t, "1", h.get("/count").body)
	t.Logf("over all attacks: healthz at most %v (%s), victim p99 at most %.1f times quiet, %v for %v (%s)",
		worst.health, worst.healthIn, worst.ratio(), worst.victim, worst.quiet, worst.victimIn)
}
