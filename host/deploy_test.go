package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/config"
)

const helloFile = "[function.hello]\nmodule = \"hello.wasm\"\n[[function.hello.route]]\npath = \"/\"\n"

// newDeployer returns a host without a listener, and the folder of its functions.toml
// with hello.wasm in it.
func newDeployer(t *testing.T) (h *host, dir string) {
	t.Helper()
	dir = newDir(t, helloFile)
	require.NoError(t, os.Remove(filepath.Join(dir, "data", "derived"))) // the folder shared by tests
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	h, err := newHost(loadConfig(t, dir, helloFile), slog.New(slog.DiscardHandler), &redactor{}, time.Now)
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h, dir
}

func loadConfig(t *testing.T, dir, toml string) *config.Config {
	t.Helper()
	writeConfig(t, dir, toml)
	cfg, err := config.Load(filepath.Join(dir, "functions.toml"))
	require.NoError(t, err)
	return cfg
}

func TestADeployMakesFilesThatWereDeletedAgain(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, derived string){
		"files":         deleteFiles,
		"the directory": func(t *testing.T, derived string) { require.NoError(t, os.RemoveAll(derived)) },
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newDeployer(t)
			cfg := loadConfig(t, dir, helloFile)
			require.NoError(t, h.deploy(t.Context(), cfg))
			before := h.deployed["hello"].live
			require.False(t, before.Image.Resident(), "it needs its files yet")
			remove(t, h.derived)
			require.NoError(t, h.deploy(t.Context(), cfg))
			a, err := h.invokeLocal(t.Context(), "hello", httptest.NewRequest("GET", "/", nil))
			require.NoError(t, err)
			require.Equal(t, "Hello, 00000!", a.Body)
			require.Equal(t, before.Ref, h.deployed["hello"].live.Ref, "it is no new version")
		})
	}
}

// TestAHostThatDeploysNothingKeepsItsFiles while another on the same directory collects.
func TestAHostThatDeploysNothingKeepsItsFiles(t *testing.T) {
	t.Parallel()
	h, dir := newDeployer(t)
	require.NoError(t, h.deploy(t.Context(), loadConfig(t, dir, helloFile)))
	ageFiles(t, h.derived)
	ctx, cancel := context.WithCancel(t.Context())
	var touching sync.WaitGroup
	touching.Go(func() { _ = h.touch(ctx, time.Millisecond) })
	require.Eventually(t, func() bool {
		modules, err := filepath.Glob(filepath.Join(h.derived, "modules", "*"))
		require.NoError(t, err)
		return !slices.ContainsFunc(modules, func(path string) bool {
			info, err := os.Stat(path)
			return err != nil || time.Since(info.ModTime()) > derivedAge
		})
	}, time.Minute, time.Millisecond)
	cancel()
	touching.Wait()
	collect(h.derived, time.Now(), derivedAge)
	_, err := h.invokeLocal(t.Context(), "hello", httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
}

// TestANewVersionKeepsTheFilesThatItShares with one of long ago: its module and code are not
// made again, and the files are collected right after the deploy.
func TestANewVersionKeepsTheFilesThatItShares(t *testing.T) {
	t.Parallel()
	h, dir := newDeployer(t)
	require.NoError(t, h.deploy(t.Context(), loadConfig(t, dir, helloFile)))
	ageFiles(t, h.derived)
	other := strings.Replace(helloFile, "[[", "env = { NEW = \"1\" }\n[[", 1)
	require.NoError(t, h.deploy(t.Context(), loadConfig(t, dir, other)))
	require.Equal(t, 2, h.deployed["hello"].live.Ref.Version)
	collect(h.derived, time.Now(), derivedAge)
	_, err := h.invokeLocal(t.Context(), "hello", httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
}

// TestFunctionsThatHaveRoomOneByOneAreDeployed, though there is none for two that initialise
// at the same time.
func TestFunctionsThatHaveRoomOneByOneAreDeployed(t *testing.T) {
	t.Parallel()
	dir := newDir(t, helloFile)
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	var toml strings.Builder
	for i := range 8 {
		fmt.Fprintf(&toml, "[function.f%d]\nmodule = \"hello.wasm\"\nenv = { DIRECTORY = %q }\n", i, dir) // that nobody has prepared
	}
	cfg := loadConfig(t, dir, toml.String())
	cfg.Host.Memory = 10 << 20 // one initialises in 6 or more
	h, err := newHost(cfg, slog.New(slog.DiscardHandler), &redactor{}, time.Now)
	require.NoError(t, err)
	t.Cleanup(h.close)
	require.NoError(t, h.deploy(t.Context(), cfg))
}

// ageFiles makes files such that nobody has used for long.
func ageFiles(t *testing.T, dir string) {
	t.Helper()
	past := time.Now().Add(-2 * derivedAge)
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chtimes(path, past, past)
	}))
}

func deleteFiles(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Remove(path)
	}))
}

func TestADeployThatIsCancelledChangesNothing(t *testing.T) {
	t.Parallel()
	h, dir := newDeployer(t)
	blue := loadConfig(t, dir, strings.Replace(helloFile, "module", "env = { COLOUR = \"blue\" }\nmodule", 1))
	plain := loadConfig(t, dir, helloFile)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.deploy(cancelled, blue), context.Canceled)
	require.Empty(t, h.deployed)
	require.NoError(t, h.deploy(t.Context(), blue))
	require.NoError(t, h.deploy(t.Context(), plain))
	before := *h.deployed["hello"]
	require.ErrorIs(t, h.deploy(cancelled, blue), context.Canceled)
	require.Equal(t, before.digest, h.deployed["hello"].digest)
	_, err := h.invokeLocal(t.Context(), "hello", httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
}

// TestAVersionThatIsWaitedForIsReplacedByOneThatIsThere: with one at rest in its place, events
// begin to wait anew, and where versions come faster than they are brought into memory,
// no event ever finds one.
func TestAVersionThatIsWaitedForIsReplacedByOneThatIsThere(t *testing.T) {
	t.Parallel()
	h, dir := newDeployer(t)
	patient := strings.Replace(helloFile, "module", "timeout = \"5m\"\nmodule", 1) // whatever the machine does besides
	blue := loadConfig(t, dir, strings.Replace(patient, "module", "env = { COLOUR = \"blue\" }\nmodule", 1))
	require.NoError(t, h.deploy(t.Context(), blue)) // its snapshot is there from now on
	require.NoError(t, h.deploy(t.Context(), loadConfig(t, dir, patient)))
	code := filepath.Join(h.derived, "code")
	require.NoError(t, os.RemoveAll(code)) // so that bringing it into memory takes a while
	require.NoError(t, os.Mkdir(code, 0o700))
	served := make(chan error, 1)
	go func() {
		a, err := h.invokeLocal(context.Background(), "hello", httptest.NewRequest("GET", "/", nil))
		if err == nil && a.Status != 200 {
			err = fmt.Errorf("status %d: %s", a.Status, a.Body)
		}
		served <- err
	}()
	require.Eventually(t, func() bool {
		begun, err := filepath.Glob(filepath.Join(code, ".new-*"))
		return err == nil && len(begun) > 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, h.deploy(t.Context(), blue))
	require.True(t, h.deployed["hello"].live.Image.Resident())
	require.NoError(t, <-served)
}

// TestRoutesThatClashChangeNothing moves a route to another function while the one that
// has it cannot be deployed, and removes a third.
func TestRoutesThatClashChangeNothing(t *testing.T) {
	t.Parallel()
	function := func(name, module, path string) string {
		return strings.NewReplacer("NAME", name, "MODULE", module, "PATH", path).Replace(
			"[function.NAME]\nmodule = \"MODULE.wasm\"\n[[function.NAME.route]]\npath = \"PATH\"\n")
	}
	dir := newDir(t, function("a", "hello", "/a")+function("b", "hello", "/b")+function("c", "hello", "/c"))
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.wasm"), nil, 0o600))
	h := startHost(t, dir, time.Now)
	writeConfig(t, dir, function("a", "bad", "/other")+function("b", "hello", "/a")+function("d", "hello", "/d"))
	refused := h.logged("not deployed", 1)[0]["error"]
	require.Contains(t, refused, "deploy a:")
	require.Contains(t, refused, "of function b: a has it already")
	for _, path := range []string{"/a", "/b", "/c"} {
		require.Equal(t, 200, h.get(path).status, path)
	}
	require.Equal(t, 404, h.get("/d").status)
	writeConfig(t, dir, function("b", "hello", "/a")+function("d", "hello", "/d"))
	h.logged("removed", 2)
	require.Equal(t, 200, h.get("/d").status)
	require.Equal(t, 404, h.get("/c").status)
}

// TestARouteWhoseSecretIsMissingIsRefused also where nothing else about the function has
// changed.
func TestARouteWhoseSecretIsMissingIsRefused(t *testing.T) {
	t.Parallel()
	const toml = helloFile + "[secrets]\nfile = \"secrets.toml\"\n"
	dir := newDir(t, toml)
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.toml"), []byte("OTHER = \"x\"\n"), 0o600))
	h := startHost(t, dir, time.Now)
	writeConfig(t, dir, toml+"[[function.hello.route]]\nmethod = \"POST\"\npath = \"/slack\"\nverify = { slack = \"SIGNING\" }\n")
	require.Contains(t, h.logged("not deployed", 1)[0]["error"], "secret SIGNING is not set")
	require.Equal(t, 404, h.post("/slack", "").status)
	require.Equal(t, 200, h.get("/").status)
}
