package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"spore/abi"
)

// TestS6ASecretStaysWhereItBelongs has a function tell its secret in every way it
// can, and looks for it in the log, in the answer, and in all the host keeps.
func TestS6ASecretStaysWhereItBelongs(t *testing.T) {
	const value = `s3cret/with+"signs"&%ä-9876`
	t.Setenv("SPORE_TEST_S6_TOKEN", value)
	toml := strings.Replace(probe, "timeout", "secrets = [\"TOKEN\"]\nenv = { SPORE_TEST_MARK = \"1\" }\ntimeout", 1) + "[secrets]\nenv = \"SPORE_TEST_S6_\"\n"
	dir := newDir(t, toml)
	require.NoError(t, os.Remove(filepath.Join(dir, "data", "derived"))) // one of its own
	h := startHost(t, dir, time.Now)
	for range 2 {
		got := h.get("/leak")
		require.Equal(t, 502, got.status)
		requireSecretFree(t, value, got.body)
	}
	h.logged("REPORT", 2)
	require.Contains(t, h.logs.String(), "Bearer [secret TOKEN].")
	require.Contains(t, h.logs.String(), "cannot log in with [secret TOKEN]")
	require.NoError(t, h.stop())
	requireSecretFree(t, value, h.logs.String())
	requireSecretFree(t, value, h.out.String())
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		requireSecretFree(t, value, string(content))
		if filepath.Base(filepath.Dir(path)) == "images" {
			requireSecretFree(t, value, snapshotMemory(t, content))
		}
		files++
		return nil
	}))
	require.Greater(t, files, 5)
}

// TestS6ALocalRunShowsNoSecret: what went wrong is printed beside the log too.
func TestS6ALocalRunShowsNoSecret(t *testing.T) {
	t.Parallel()
	const value = `s3cret/with+"signs"&%ä-9876`
	dir := newDir(t, strings.Replace(probe, "timeout", "secrets = [\"TOKEN\"]\ntimeout", 1)+"[secrets]\nenv = \"SPORE_TEST_S6_\"\n")
	cmd := exec.Command("spore", "invoke", "probe", "--local", "--path", "/leak", "--config", filepath.Join(dir, "functions.toml"))
	cmd.Env = append(os.Environ(), "SPORE_TEST_S6_TOKEN="+value)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "\nspore: run probe: errorString: cannot log in with [secret TOKEN]\n")
	requireSecretFree(t, value, string(out))
}

// snapshotMemory is the memory in a snapshot file (sandbox/snapshot.go).
func snapshotMemory(t *testing.T, file []byte) string {
	t.Helper()
	content := file[32:]
	decoder, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer decoder.Close()
	memory, err := decoder.DecodeAll(content[4+binary.LittleEndian.Uint32(content):], nil)
	require.NoError(t, err)
	require.Contains(t, string(memory), "SPORE_TEST_MARK=1", "the function's environment stands in it")
	return string(memory)
}

func requireSecretFree(t *testing.T, value, text string) {
	t.Helper()
	for _, form := range []string{value, value[:12], base64.StdEncoding.EncodeToString([]byte(value))[:16], hex.EncodeToString([]byte(value)),
		strings.ToUpper(hex.EncodeToString([]byte(value))), url.QueryEscape(value), url.PathEscape(value)} {
		at := strings.Index(text, form)
		if at >= 0 {
			require.Fail(t, "the secret is there", "%q in %q", form, text[max(0, at-100):min(len(text), at+100)])
		}
	}
}

func TestS6ValuesThatAreLookedFor(t *testing.T) {
	var out bytes.Buffer
	r := &redactor{out: &out}
	write := func(text string) string {
		out.Reset()
		n, err := r.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		return out.String()
	}
	require.Equal(t, "a 1234567 b", write("a 1234567 b"))
	r.add("SHORT", []byte("1234567"))
	r.add("LONG", []byte("12345678"))
	r.add("LONG", []byte("12345678"))
	r.add("PEM", []byte("-----BEGIN-----\nabcdefghijkl\nend\n-----END-----\n"))
	require.Equal(t, "a 1234567 b", write("a 1234567 b"), "too short to be told from a word")
	require.Equal(t, "a [secret LONG] b [secret LONG]9", write("a 12345678 b 123456789"))
	require.Equal(t, "[secret PEM]\nend", write("abcdefghijkl\nend"), "a line of a longer value")
	for i := range 7 { // behind any prefix, as in Basic authentication, a value is somewhere else in the base64
		for _, behind := range []string{"", ":", ":x", ":more"} {
			text := []byte(strings.Repeat("u", i) + "12345678" + behind)
			require.Contains(t, write(base64.StdEncoding.EncodeToString(text)), "[secret LONG]", "%s", text)
			require.Contains(t, write(base64.RawURLEncoding.EncodeToString(text)), "[secret LONG]", "%s", text)
		}
	}
	r.add("BYTES", []byte{0xff, 0xfe, 0xfd, 0xfb, 0xff, 0xbf, 0xfe, 0xff})
	for i := range 3 {
		text := append(make([]byte, i), 0xff, 0xfe, 0xfd, 0xfb, 0xff, 0xbf, 0xfe, 0xff, 0)
		require.Contains(t, write(base64.StdEncoding.EncodeToString(text)), "[secret BYTES]")
		require.Contains(t, write(base64.URLEncoding.EncodeToString(text)), "[secret BYTES]")
	}
}

// TestS6ASecretThatBeginsWithAnother is not told by what follows the shorter one,
// whichever was handed out first.
func TestS6ASecretThatBeginsWithAnother(t *testing.T) {
	for _, names := range [][]string{{"SHORT", "LONG"}, {"LONG", "SHORT"}} {
		var out bytes.Buffer
		r := &redactor{out: &out}
		for _, name := range names {
			r.add(name, []byte(map[string]string{"SHORT": "service-account", "LONG": "service-account:hunter2"}[name]))
		}
		_, err := r.Write([]byte("service-account:hunter2, service-account\n"))
		require.NoError(t, err)
		require.Equal(t, "[secret LONG], [secret SHORT]\n", out.String())
	}
}

// TestALineWithASecretIsWrittenAtOnce: on a terminal each write begins by wiping the
// line, and a log line in pieces would wipe itself.
func TestALineWithASecretIsWrittenAtOnce(t *testing.T) {
	var out bytes.Buffer
	r := &redactor{out: wiping{&out}}
	r.add("TOKEN", []byte("12345678"))
	_, err := r.Write([]byte("token 12345678 was refused\n"))
	require.NoError(t, err)
	require.Equal(t, wipe+"token [secret TOKEN] was refused\n", out.String())
}

// TestS6AnUpstreamHasNoWordInTheLog: what it sends when nobody has asked is written by
// net/http, past the log and its redactor, where Go's own log has an output.
func TestS6AnUpstreamHasNoWordInTheLog(t *testing.T) {
	t.Parallel()
	up, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer up.Close()
	closed := make(chan error, 1)
	go func() {
		conn, err := up.Accept()
		if err != nil {
			closed <- err
			return
		}
		defer conn.Close()
		_, err = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokREPORT RequestId: forged\n")
		_, _ = io.Copy(io.Discard, conn) // until the host has had enough
		closed <- err
	}()
	h := startProcess(t, newDir(t, fmt.Sprintf(`
[function.net]
source = "ROOT/host/sandbox/testdata/netprobe"
http_private = ["http://%[1]s"]
[[function.net.route]]
path = "/get"
method = "POST"
`, up.Addr())))
	require.Equal(t, "200 2 ", h.post("/get", "http://"+up.Addr().String()).body)
	require.NoError(t, <-closed)
	require.NoError(t, h.stop())
	all, err := io.ReadAll(h.process.log)
	require.NoError(t, err)
	for line := range strings.Lines(string(all)) {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

// TestS7TheReadmeSaysWhatIsNotKeptApart: what this host does not defend against
// is the first thing to know of it.
func TestS7TheReadmeSaysWhatIsNotKeptApart(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(readme)), " ")
	require.Contains(t, text, "One host process is one trust domain.")
	require.Contains(t, text, "not against side channels of the CPU")
	require.Contains(t, text, "tenants who do not trust each other get a host each.")
	require.Contains(t, text, "clocks are exact to the nanosecond")
}

// TestG12NothingAGuestLogsSteersATerminal logs characters that terminals obey, in
// every part of a record, in both forms of the log.
func TestG12NothingAGuestLogsSteersATerminal(t *testing.T) {
	const hostile = "\x1b[2J\x07\x7f\u009b31m\u202egnp.exe\u2028\r\n\x00\xff\xfe"
	for _, form := range []string{"json", "text"} {
		t.Run(form, func(t *testing.T) {
			var out buffer
			log, writer, _ := newLogger(form, &out)
			stop := background(writer.Run)
			h := &host{log: log}
			h.guestLog("f", func() int { return 1 })("r-1", abi.LogRecord{Message: hostile, Attrs: abi.Pairs{{Name: hostile, Value: hostile}}})
			log.Error("invocation failed", "error", "a guest's own words: "+hostile)
			stop()
			text := out.String()
			require.Equal(t, 2, strings.Count(text, "\n"), "a record is a line: %q", text)
			for i, r := range text {
				require.True(t, r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) && r != '\u202e' && r != '\u2028', "%q at %d of %q", r, i, text)
			}
		})
	}
}

// TestG12NothingInAnErrorSteersATerminal: the last words of a command that fails may be a
// function's, or stand in functions.toml.
func TestG12NothingInAnErrorSteersATerminal(t *testing.T) {
	t.Parallel()
	const hostile = "\\u001b[2J\\u0007\\u009b31m\\u202egnp.exe\\u2028" // as TOML has it
	for name, toml := range map[string]string{
		"a path":                      "[function.f]\nsource = \"" + hostile + "\"\n",
		"a function's own last words": strings.Replace(probe, "timeout", "env = { PROBE_INIT = \"exit\", PROBE_WORDS = \""+hostile+"\" }\ntimeout", 1),
		"an example to paste":         strings.Replace(probe, "path = ", "example = \""+hostile+"\"\npath = ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, refusal := tryProcess(t, newDir(t, toml))
			require.Contains(t, refusal, "spore: ")
			for i, r := range refusal {
				require.True(t, r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) && r != '\u202e' && r != '\u2028', "%q at %d of %q", r, i, refusal)
			}
		})
	}
}

// TestM4AHostCompilesInAnotherProcess ends the process that compiles. A host that
// compiled in its own would deploy the module all the same.
func TestM4AHostCompilesInAnotherProcess(t *testing.T) {
	t.Setenv(compilerLost, "the compiler lost its way")
	h, dir := newDeployer(t)
	require.ErrorContains(t, h.deploy(t.Context(), loadConfig(t, dir, helloFile)), "the compiler lost its way")
}

// m6 is a host under load whose one module's file is about to be changed.
func m6(t *testing.T) (h *testHost, file string, swaps func(change func(wasm []byte), rounds int)) {
	dir := newDir(t, "[function.hello]\nmodule = \"hello.wasm\"\n[[function.hello.route]]\npath = \"/\"\n")
	file = filepath.Join(dir, "hello.wasm")
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(file, wasm, 0o600))
	h = startHost(t, dir, time.Now)
	return h, file, func(change func([]byte), rounds int) {
		stop := underLoad(h)
		for i := 1; i <= rounds; i++ {
			wasm, greeting := variant(t, i)
			change(wasm)
			require.Eventually(t, func() bool { return h.get("/").body == greeting }, time.Minute, 5*time.Millisecond)
		}
		t.Logf("%d requests meanwhile", stop())
	}
}

func TestM6AModuleThatIsWrittenSlowly(t *testing.T) {
	t.Parallel()
	_, file, swaps := m6(t)
	swaps(func(wasm []byte) {
		f, err := os.Create(file)
		require.NoError(t, err)
		defer f.Close()
		pause := time.NewTicker(20 * time.Millisecond) // the writer is slow, not the test
		defer pause.Stop()
		for piece := range slices.Chunk(wasm, 64<<10) {
			_, err := f.Write(piece)
			require.NoError(t, err)
			<-pause.C
		}
	}, 2)
}

func TestM6RenamesAndLinks(t *testing.T) {
	t.Parallel()
	h, file, swaps := m6(t)
	place := func(name string, wasm []byte) string {
		path := filepath.Join(h.dir, name)
		require.NoError(t, os.WriteFile(path, wasm, 0o600))
		return path
	}
	swaps(func(wasm []byte) { require.NoError(t, os.Rename(place("new", wasm), file)) }, 3)
	n := 0
	swaps(func(wasm []byte) { // to another file each time, by a link that is renamed
		n++
		target := place(fmt.Sprintf("version-%d", n), wasm)
		require.NoError(t, os.Symlink(target, filepath.Join(h.dir, "link")))
		require.NoError(t, os.Rename(filepath.Join(h.dir, "link"), file))
	}, 3)
	swaps(func(wasm []byte) { // a race of many renames, of which the last one counts
		for i := range 50 {
			old, _ := variant(t, 90+i%5)
			require.NoError(t, os.Rename(place("new", old), file))
		}
		require.NoError(t, os.Rename(place("new", wasm), file))
	}, 2)
}

// TestM6AModuleThatIsGone: a file that is deleted, or is something else, leaves what
// serves as it is, and counts again when it is back.
func TestM6AModuleThatIsGone(t *testing.T) {
	t.Parallel()
	h, file, swaps := m6(t)
	refused := 0
	swaps(func(wasm []byte) {
		require.NoError(t, os.Remove(file))
		refused++
		h.logged("goes on", refused)
		require.NoError(t, os.WriteFile(file, wasm, 0o600))
	}, 2)
	swaps(func(wasm []byte) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.Mkdir(file, 0o700))
		refused = len(h.logged("goes on", refused+1))
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.WriteFile(file, wasm, 0o600))
	}, 1)
}

// TestM6AModuleThatMayNotBeRead: what serves goes on without the permission to read the
// module's file, which is deployed when there is one.
func TestM6AModuleThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	dir := newDir(t, helloFile)
	place := func(n int, mode fs.FileMode) (file, greeting string) {
		wasm, greeting := variant(t, n)
		file = filepath.Join(dir, "hello.wasm")
		require.NoError(t, os.WriteFile(file+".new", wasm, mode))
		require.NoError(t, os.Rename(file+".new", file))
		return file, greeting
	}
	_, before := place(0, 0o644)
	h := startUnprivileged(t, dir)
	require.Equal(t, before, h.get("/").body)
	file, after := place(1, 0)
	h.logged("goes on", 1)
	require.Equal(t, before, h.get("/").body)
	require.NoError(t, os.Chmod(file, 0o644))
	h.logged("live", 2)
	require.Equal(t, after, h.get("/").body)
}

// startUnprivileged serves dir by a process of its own until the test ends: as nobody
// where this one is root's, because root reads everything.
func startUnprivileged(t *testing.T, dir string) *testHost {
	t.Helper()
	h := &testHost{t: t, dir: dir}
	cmd := exec.Command("spore", "serve", "--config", filepath.Join(dir, "functions.toml"))
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		self, err := os.Executable()
		require.NoError(t, err)
		program, err := os.ReadFile(self)
		require.NoError(t, err)
		cmd.Path = filepath.Join(dir, "spore") // the test's own lies where only root may look
		require.NoError(t, os.WriteFile(cmd.Path, program, 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		require.NoError(t, os.Chmod(filepath.Join(dir, "functions.toml"), 0o644))
		data := filepath.Join(dir, "data")
		require.NoError(t, os.Remove(filepath.Join(data, "derived"))) // it is root's
		require.NoError(t, os.Chown(data, nobody, nobody))
	}
	cmd.Stdout, cmd.Stderr = &h.out, &h.logs
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM), "the process has ended: %s", &h.logs)
		require.NoError(t, <-ended)
	})
	listens := regexp.MustCompile(`spore serves (http://\S+)`)
	require.Eventually(t, func() bool {
		if m := listens.FindStringSubmatch(h.out.String()); m != nil {
			h.url = m[1]
		}
		return h.url != ""
	}, time.Minute, 10*time.Millisecond, "%s", &h.logs)
	return h
}

// TestG15ASlowReaderGetsItsAnswer reads a large answer slowly, while the instance
// that gave it serves others and its version is replaced and closed.
func TestG15ASlowReaderGetsItsAnswer(t *testing.T) {
	t.Parallel()
	h := startHost(t, newDir(t, probe), time.Now)
	body := bytes.Repeat([]byte("0123456789abcde\n"), 6<<20/16)
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(64<<10))
	_, err = fmt.Fprintf(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 201, res.StatusCode)

	other := strings.Repeat("x", 100<<10)
	for range 5 {
		require.Equal(t, other, h.post("/echo", other).body)
	}
	writeConfig(t, h.dir, strings.Replace(probe, "timeout", "env = { COLOUR = \"blue\" }\ntimeout", 1))
	h.logged("live", 2)
	require.Equal(t, other, h.post("/echo", other).body)
	runtime.GC()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got), "the answer is not what it was")
}

// smallDisk makes dir a file system of its own. Fill leaves so many pages of it free,
// or as many as nothing else has taken.
func smallDisk(t *testing.T, dir string) (fill func(leave int)) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	page := os.Getpagesize()
	if said, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprint("size=", 256*page), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a file system here: %v: %s", err, said)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", "-l", dir).Run()) })
	return func(leave int) {
		t.Helper()
		full, err := os.Create(filepath.Join(dir, "full"))
		require.NoError(t, err)
		defer full.Close()
		pages := 0
		for err == nil {
			_, err = full.Write(make([]byte, page))
			pages++
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.NoError(t, full.Truncate(int64(max(0, pages-1-leave)*page)))
	}
}

const all = 256 // pages, which a small disk has

// TestM7AHostOnAFullDisk starts a host that has nothing yet, with every amount of room
// up to the one that is enough. With less it says what is wrong, or serves what it could
// not store. It starts again as soon as there is room, and from a full disk with what it
// has stored; what is new there is not deployed until there is room.
func TestM7AHostOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	fill := smallDisk(t, data)
	module := filepath.Join(dir, "f.wasm")
	require.NoError(t, os.WriteFile(module, saying("known"), 0o600))
	writeConfig(t, dir, "[function.f]\nmodule = \"f.wasm\"\n[[function.f.route]]\npath = \"/\"\n")
	const unstored = "it could not be stored, so it stays in memory"
	serves := func(h *testHost) (log string) {
		require.Equal(t, "known", h.get("/").body)
		require.NoError(t, h.stop())
		text, err := os.ReadFile(h.process.log.Name())
		require.NoError(t, err)
		return string(text)
	}
	clean := func() {
		t.Helper()
		left, err := filepath.Glob(filepath.Join(data, "derived", "*", ".new-*"))
		require.NoError(t, err)
		require.Empty(t, left, "something half made is left")
	}
	refused, pinned := 0, 0
	for stored := false; !stored; {
		for _, made := range []string{"lock", "derived"} {
			require.NoError(t, os.RemoveAll(filepath.Join(data, made)))
		}
		fill(refused + pinned)
		h, refusal := tryProcess(t, dir)
		switch {
		case refusal != "":
			t.Logf("%d pages: %s", refused, refusal)
			require.Zero(t, pinned, "there was enough with less")
			require.Contains(t, refusal, "no space left on device")
			require.Contains(t, refusal, data, "which disk that is")
			require.NotContains(t, refusal, "goroutine")
			refused++
		case strings.Contains(serves(h), unstored):
			pinned++
			fill(0)
			require.Contains(t, serves(startProcess(t, dir)), unstored)
		default:
			stored = true
		}
		clean()
		fill(all)
		require.NotContains(t, serves(startProcess(t, dir)), unstored)
	}
	t.Logf("refused with less than %d pages, not stored with less than %d", refused, refused+pinned)
	require.NotZero(t, refused)
	require.NotZero(t, pinned)

	fill(0)
	require.NotContains(t, serves(startProcess(t, dir)), unstored)
	h := startProcess(t, dir)
	require.NoError(t, os.WriteFile(module, saying("news"), 0o600))
	h.next("not deployed; the old version goes on", "no space left on device")
	require.Equal(t, "known", h.get("/").body)
	fill(all)
	require.NoError(t, h.process.Signal(syscall.SIGHUP))
	h.next(`"live"`, `"version":2`)
	require.Equal(t, "news", h.get("/").body)
	clean()
}

// TestM7AHostWithStateOnAFullDisk: a host whose functions may keep something needs room
// for that to start, says so, and goes on without when there is none later.
func TestM7AHostWithStateOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	fill := smallDisk(t, data)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f.wasm"), saying("known"), 0o600))
	writeConfig(t, dir, "[function.f]\nmodule = \"f.wasm\"\nkv = \"64KiB\"\n[[function.f.route]]\npath = \"/\"\n")
	for _, room := range []int{1, 0} { // for the lock, which stays
		fill(room)
		_, refusal := tryProcess(t, dir)
		t.Log(refusal)
		require.Contains(t, refusal, "open state in "+data)
		require.Contains(t, refusal, "no space left on device; set data in functions.toml to a directory you may write, on a disk with room")
		fill(all)
		h := startProcess(t, dir)
		fill(0)
		for range 20 {
			require.Equal(t, "known", h.get("/").body)
		}
		h.requireSameProcess(t)
		require.NoError(t, h.stop())
	}
}
