package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

func TestAnImageThatNobodyUsesRests(t *testing.T) {
	e := openEngine(t, sandbox.Options{Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	for range 3 {
		require.Equal(t, "1", text(t, img, "/count"))
		require.True(t, img.Resident())
		require.Equal(t, 1, sandbox.Programs(e))
		sandbox.Sweep(e)
		require.False(t, img.Resident())
		require.Zero(t, sandbox.Programs(e), "its code is gone from memory too")
	}
}

func TestAnImageInUseDoesNotRest(t *testing.T) {
	e := openEngine(t, sandbox.Options{Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	sb, err := img.Open(t.Context())
	require.NoError(t, err)
	sandbox.Sweep(e)
	require.True(t, img.Resident())
	sb.Close()
	sandbox.Sweep(e)
	require.False(t, img.Resident())
}

func TestInstancesThatAreNotNeededAreClosed(t *testing.T) {
	e := openEngine(t, sandbox.Options{Idle: time.Hour})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	sandbox.Sweep(e)
	serveAtOnce(t, img, 5)
	require.Equal(t, 5, sandbox.Idle(img))
	text(t, img, "/count")
	sandbox.Sweep(e)
	require.Equal(t, 5, sandbox.Idle(img), "all five were in use since the sweep before")
	text(t, img, "/count")
	sandbox.Sweep(e)
	require.Equal(t, 1, sandbox.Idle(img), "four were not")
}

// TestX2IdleInstancesThatAreCopiesAreBounded: where all memory is copied to restore it, none
// of it is shared.
func TestX2IdleInstancesThatAreCopiesAreBounded(t *testing.T) {
	e := openEngine(t, sandbox.Options{Restore: sandbox.Copy})
	img, err := e.Prepare(t.Context(), testmodule.Build(t, "testdata/probe"), settings())
	require.NoError(t, err)
	defer img.Close()
	serveAtOnce(t, img, 16) // of 5 MiB
	require.Less(t, sandbox.Idle(img), 10)
}

// serveAtOnce has n sandboxes of img serve before the first is closed.
func serveAtOnce(t *testing.T, img *sandbox.Image, n int) {
	t.Helper()
	var open []*sandbox.Sandbox
	end := time.Now().Add(time.Minute)
	for range n {
		sb, err := img.Open(t.Context())
		require.NoError(t, err)
		_, err = sb.Serve(t.Context(), &abi.Event{Path: "/count"}, sandbox.Deadlines{Response: end, End: end}, func(*abi.Result, bool) {})
		require.NoError(t, err)
		open = append(open, sb)
	}
	for _, sb := range open {
		sb.Close()
	}
}

// TestARestartLoadsWhatIsAskedFor deploys again what an engine before has left.
func TestARestartLoadsWhatIsAskedFor(t *testing.T) {
	dir, wasm := t.TempDir(), testmodule.Build(t, "testdata/probe")
	deploy := func(e *sandbox.Engine) (images []*sandbox.Image) {
		for i := range 3 {
			s := settings()
			s.Name = fmt.Sprintf("probe-%d", i)
			img, err := e.Prepare(t.Context(), wasm, s)
			require.NoError(t, err)
			images = append(images, img)
			t.Cleanup(img.Close)
		}
		return images
	}
	deploy(openEngine(t, sandbox.Options{Directory: dir}))
	e := openEngine(t, sandbox.Options{Directory: dir})
	images := deploy(e)
	require.Zero(t, sandbox.Programs(e))
	require.Equal(t, "1", text(t, images[1], "/count"))
	require.True(t, images[1].Resident())
	require.False(t, images[0].Resident() || images[2].Resident())
	require.Equal(t, "1", text(t, images[2], "/count"))
	require.Equal(t, 1, sandbox.Programs(e), "images of one module share its code")
}

// TestAnImageAtRestSurvivesTheLossOfItsFiles has everything but the module deleted.
func TestAnImageAtRestSurvivesTheLossOfItsFiles(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, sandbox.Options{Directory: dir, Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	for _, lost := range []string{"code", "images"} {
		sandbox.Sweep(e)
		files, err := filepath.Glob(filepath.Join(dir, lost, "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.NoError(t, os.RemoveAll(files[0]))
		_, _, err = ask(t, img, abi.Event{}, time.Second)
		require.NoError(t, err, "without %s", lost)
	}
	sandbox.Sweep(e)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "modules")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "images")))
	_, err = img.Open(t.Context())
	require.ErrorContains(t, err, "deploy the function again")
}

// TestRestingAndServingAtOnce is a hammer: events against sweeps against closing.
func TestRestingAndServingAtOnce(t *testing.T) {
	e := openEngine(t, sandbox.Options{Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	var serving, sweeping sync.WaitGroup
	stop := make(chan struct{})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				sandbox.Sweep(e)
			}
		}
	})
	for range 4 {
		serving.Go(func() {
			for range 25 {
				if _, _, err := ask(t, img, abi.Event{}, 10*time.Second); err != nil {
					t.Error(err)
				}
			}
		})
	}
	serving.Wait()
	close(stop)
	sweeping.Wait()
	img.Close()
	require.Zero(t, sandbox.Programs(e), "nothing is left in memory")
}

// TestHostsThatShareADirectoryCompileAtTheSameTime is about code that one engine
// opens while another would put its own in its place.
func TestHostsThatShareADirectoryCompileAtTheSameTime(t *testing.T) {
	for range 25 {
		dir := t.TempDir()
		var engines sync.WaitGroup
		for range 4 {
			e := openEngine(t, sandbox.Options{Directory: dir})
			engines.Go(func() {
				img, err := e.Prepare(t.Context(), marker().bytes(), capable())
				if err != nil {
					t.Error(err)
					return
				}
				img.Close()
			})
		}
		engines.Wait()
	}
}

// withoutCode returns an image at rest whose code is gone, of an engine whose compiler
// hangs.
func withoutCode(t *testing.T) (*sandbox.Engine, *sandbox.Image, string) {
	t.Helper()
	dir := t.TempDir()
	img, err := openEngine(t, sandbox.Options{Directory: dir}).Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	img.Close()
	e := openEngine(t, sandbox.Options{Directory: dir, Compiler: compiler("hang"), Idle: time.Nanosecond})
	img, err = e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	code, err := filepath.Glob(filepath.Join(dir, "code", "*"))
	require.NoError(t, err)
	require.Len(t, code, 1)
	require.NoError(t, os.RemoveAll(code[0]))
	return e, img, dir
}

// within returns what fn does, which has to be soon, by far.
func within(t *testing.T, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it goes on waiting")
		return nil
	}
}

// TestAnImageThatWakesToFindItselfClosedIsFreed: it was read while it was closed.
func TestAnImageThatWakesToFindItselfClosedIsFreed(t *testing.T) {
	e := openEngine(t, sandbox.Options{Directory: t.TempDir()})
	img, err := e.Prepare(t.Context(), answering(), capable())
	require.NoError(t, err)
	sandbox.FinishWaking(img)
	require.True(t, img.Resident())
	img.Close()
	sandbox.FinishWaking(img)
	require.False(t, img.Resident())
	require.Zero(t, sandbox.Programs(e))
}

// TestNobodyWaitsForAnImageForEver has one whose module is compiled without end.
func TestNobodyWaitsForAnImageForEver(t *testing.T) {
	e, img, dir := withoutCode(t)
	patient := make(chan error, 1)
	go func() {
		_, err := img.Open(context.Background())
		patient <- err
	}()
	compiling := func() []string {
		begun, err := filepath.Glob(filepath.Join(dir, "code", ".new-*"))
		require.NoError(t, err)
		return begun
	}
	require.Eventually(t, func() bool { return len(compiling()) == 1 }, 20*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := within(t, func() error {
		_, err := img.Open(ctx)
		return err
	})
	require.Equal(t, abi.Deadline, function.KindOf(err), "%v", err)
	err = within(t, func() error {
		other := capable()
		other.Name = "another function of the same module"
		_, err := e.Prepare(ctx, marker().bytes(), other)
		return err
	})
	require.Equal(t, abi.NotReady, function.KindOf(err), "%v", err)
	require.NoError(t, within(t, func() error {
		sandbox.Sweep(e)
		img.Close()
		return nil
	}))
	require.Empty(t, compiling(), "it was stopped")
	require.Equal(t, abi.NotReady, function.KindOf(within(t, func() error { return <-patient })))
}

// TestAnImageGoesOnWakingWhenNobodyWaits: otherwise one that takes longer than its events
// may would never be there.
func TestAnImageGoesOnWakingWhenNobodyWaits(t *testing.T) {
	e := openEngine(t, sandbox.Options{Idle: time.Nanosecond})
	img, err := e.Prepare(t.Context(), marker().bytes(), capable())
	require.NoError(t, err)
	defer img.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = img.Open(ctx)
	require.Equal(t, abi.NotReady, function.KindOf(err), "%v", err)
	require.Eventually(t, img.Resident, 20*time.Second, time.Millisecond)
}
