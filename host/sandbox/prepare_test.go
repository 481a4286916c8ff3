package sandbox_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

func answering() []byte { return handmade{serve: []step{take(anyResult), respond()}}.bytes() }

// TestDeployingAgainMendsALostModule has code lost and the module damaged: the image
// at rest cannot be brought back, and says what helps.
func TestDeployingAgainMendsALostModule(t *testing.T) {
	dir, wasm := t.TempDir(), answering()
	e := openEngine(t, sandbox.Options{Directory: dir})
	img, err := e.Prepare(t.Context(), wasm, capable())
	require.NoError(t, err)
	defer img.Close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules", sandbox.Digest(wasm)), make([]byte, len(wasm)), 0o600))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "code")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "code"), 0o700))
	require.ErrorContains(t, img.Wake(t.Context()), "deploy the function again")
	again, err := e.Prepare(t.Context(), wasm, capable())
	require.NoError(t, err)
	defer again.Close()
	require.NoError(t, again.Wake(t.Context()))
}

// lost is a context that panics when the engine looks into it.
type lost struct{ context.Context }

func (lost) Value(any) any { panic("lost") }

// TestAPanicOfTheEngineIsTheEventsError: whatever was taken for the event that met it is
// given back.
func TestAPanicOfTheEngineIsTheEventsError(t *testing.T) {
	e := openEngine(t, sandbox.Options{Memory: 1 << 20, Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), answering(), capable())
	require.NoError(t, err)
	defer img.Close()
	require.NoError(t, img.Wake(t.Context()))
	for range 100 { // of which sixteen would be all memory
		_, err := img.Open(lost{t.Context()})
		require.Equal(t, abi.Internal, function.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "panic: lost")
	}
	_, _, err = ask(t, img, abi.Event{}, time.Minute)
	require.NoError(t, err)
	sandbox.Sweep(e)
	require.False(t, img.Resident(), "nobody uses it")
}

func TestAPanicOfTheCallerKeepsNoCore(t *testing.T) {
	e := openEngine(t, sandbox.Options{Cores: 1})
	img, err := e.Prepare(t.Context(), answering(), capable())
	require.NoError(t, err)
	defer img.Close()
	end := time.Now().Add(time.Minute)
	require.Panics(t, func() {
		sb, err := img.Open(t.Context())
		require.NoError(t, err)
		defer sb.Close()
		_, _ = sb.Serve(t.Context(), &abi.Event{}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) { panic("reply") })
	})
	served := make(chan error, 1)
	go func() { _, _, err := ask(t, img, abi.Event{}, time.Minute); served <- err }()
	select {
	case err := <-served:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the core was never given back")
	}
}

func TestACancelledCompilationIsNotTheModulesFault(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Compiler: []string{"/bin/sh", "-c", "exec sleep 60"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := e.Prepare(ctx, answering(), capable())
	require.Equal(t, abi.NotReady, function.KindOf(err), "%v", err)
	require.NotContains(t, err.Error(), "processor time")
}

// TestACompilationEndsByTheWallsClock: a process that was stopped uses no processor time,
// which alone was bounded, and deploys of serve have no deadline.
func TestACompilationEndsByTheWallsClock(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir(), Compiler: []string{"/bin/sh", "-c", "kill -STOP $$"}})
	sandbox.CompileWithin(e, 100*time.Millisecond)
	err := within(t, func() error {
		_, err := e.Prepare(t.Context(), answering(), capable())
		return err
	})
	require.Equal(t, abi.Overloaded, function.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "not done after 100ms")
}

// TestLessMemoryThanAModuleBeginsWith is refused whether the module's code is known
// already or not.
func TestLessMemoryThanAModuleBeginsWith(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
	wasm := bytes.Replace(answering(), section(5, oneMemory), section(5, []byte{1, 0, 20}), 1)
	s := capable()
	s.MemoryMax = 2 << 20
	img, err := e.Prepare(t.Context(), wasm, s)
	require.NoError(t, err)
	img.Close()
	s.MemoryMax = 19 * 64 << 10
	_, err = e.Prepare(t.Context(), wasm, s)
	require.Equal(t, abi.Invalid, function.KindOf(err))
	require.ErrorContains(t, err, "raise memory in functions.toml")
}

// TestModulesThatShareCodeArePreparedAtOnce: they differ in a custom section, which
// the rewriter drops, so that all of them want the same code compiled.
func TestModulesThatShareCodeArePreparedAtOnce(t *testing.T) {
	for range 5 {
		e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				img, err := e.Prepare(t.Context(), append(answering(), 0, 3, 1, 'n', byte(i)), capable())
				if err != nil {
					t.Errorf("module %d: %v", i, err)
					return
				}
				defer img.Close()
				if err := img.Wake(t.Context()); err != nil {
					t.Errorf("module %d: %v", i, err)
				}
			})
		}
		all.Wait()
	}
}
