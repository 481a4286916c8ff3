package guesttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// host is a running `spore serve` with one function.
type host struct {
	url  string
	gone chan struct{} // closed when there will be no more log

	mu    sync.Mutex
	said  bytes.Buffer             // for people: what helps when a test fails
	log   map[string][]line        // by request id
	ended map[string]chan struct{} // closed at the last line of a request
}

// start serves the function in dir until the test ends.
func (o Options) start(tb testing.TB, dir string) *host {
	tb.Helper()
	spore, err := command()
	if err != nil {
		tb.Fatal(err)
	}
	source, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	readModule(source)
	config, err := o.configure(tb.TempDir(), source)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(spore, "serve", "--attached", "--config", config)
	stdin, err1 := cmd.StdinPipe() // ends with this process, whatever happens to it, and so ends the host
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
		tb.Fatal(err)
	}
	h := &host{gone: make(chan struct{}), log: map[string][]line{}, ended: map[string]chan struct{}{}}
	address := make(chan string, 1)
	var readers sync.WaitGroup
	readers.Go(func() { h.readOutput(stdout, address) })
	readers.Go(func() { h.readLog(stderr) })
	tb.Cleanup(func() {
		stdin.Close()
		readers.Wait()
		_ = cmd.Wait() // how it ended is in what it printed
		if tb.Failed() {
			tb.Log(h.printed())
		}
	})
	h.url = <-address
	if h.url == "" {
		tb.Fatalf("the function in %s is not served; see below for what spore says", dir)
	}
	return h
}

// command finds the spore command.
func command() (string, error) {
	if path := os.Getenv("SPORE"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("the environment variable SPORE names no program: %w", err)
		}
		return path, nil
	}
	path, err := exec.LookPath("spore")
	if err != nil {
		return "", errors.New("there is no spore command to run the function with: put it into PATH, or its file's name into the environment variable SPORE; " +
			"in a clone of spore, `go build -o spore ./host` makes it")
	}
	return path, nil
}

// configure writes what spore needs into temp and returns functions.toml's path.
func (o Options) configure(temp, source string) (string, error) {
	if err := shareDerived(temp); err != nil {
		return "", err
	}
	secrets := filepath.Join(temp, "secrets") // a file each, which can hold every value as it is
	if err := os.Mkdir(secrets, 0o700); err != nil {
		return "", err
	}
	for name, value := range o.Secrets {
		if err := os.WriteFile(filepath.Join(secrets, filepath.Base(name)), []byte(value+"\n"), 0o600); err != nil {
			return "", err
		}
	}
	path := filepath.Join(temp, "functions.toml")
	return path, os.WriteFile(path, o.toml(source), 0o600)
}

// shareDerived makes the data directory in temp, in which what can be made again,
// compiled code above all, is shared with every other test of the user. Where the
// user has no cache nothing is, because compiled code must be nobody else's.
func shareDerived(temp string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	shared := filepath.Join(cache, "spore-guesttest")
	if err := os.MkdirAll(shared, 0o700); err != nil {
		return nil
	}
	data := filepath.Join(temp, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	return os.Symlink(shared, filepath.Join(data, "derived"))
}

// methods are those that a route may have.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// toml writes functions.toml. Strings and lists of them are the same in JSON.
func (o Options) toml(source string) []byte {
	var b bytes.Buffer
	b.WriteString("[host]\nlisten = \"127.0.0.1:0\"\nlog = \"json\"\n[secrets]\ndirectory = \"secrets\"\n")
	fmt.Fprintf(&b, "[function.test]\nsource = %s\nsecrets = %s\nhttp = %s\nhttp_private = %s\n%s\n",
		quote(source), quote(slices.Sorted(maps.Keys(o.Secrets))), quote(o.HTTP), quote(o.HTTPPrivate), o.Settings)
	b.WriteString("[function.test.env]\n")
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		fmt.Fprintf(&b, "%s = %s\n", quote(name), quote(o.Env[name]))
	}
	routes := o.Routes
	if len(routes) == 0 {
		for _, method := range methods {
			routes = append(routes, method+" /{path:*}")
		}
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		fmt.Fprintf(&b, "[[function.test.route]]\nmethod = %s\npath = %s\n", quote(method), quote(path))
	}
	return b.Bytes()
}

// quote writes a string, or a list of them, for TOML, which differs from JSON in
// that it wants DEL escaped and has no null.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("guesttest: internal error: " + err.Error())
	}
	if string(b) == "null" {
		return "[]"
	}
	return strings.ReplaceAll(string(b), "\x7f", `\u007f`)
}

// readOutput finds the address in what the host prints first, and sends "" when
// it ends without one.
func (h *host) readOutput(out io.Reader, address chan<- string) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		if url, ok := strings.CutPrefix(s.Text(), "spore serves "); ok {
			address <- url
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line too long to scan must not block the host
	close(address)
}

// readLog sorts the lines of the log by request.
func (h *host) readLog(out io.Reader) {
	defer close(h.gone)
	r := bufio.NewReader(out)
	for {
		text, err := r.ReadBytes('\n')
		h.add(text)
		if err != nil {
			return
		}
	}
}

func (h *host) add(text []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var l line
	if json.Unmarshal(text, &l) != nil { // the reason why the host ends
		h.said.Write(text)
		return
	}
	if !l.isReport() && (l.requestID != "" || l.Level > slog.LevelInfo) {
		fmt.Fprintln(&h.said, l.Log)
	}
	if l.requestID == "" {
		return
	}
	h.log[l.requestID] = append(h.log[l.requestID], l)
	if l.isReport() || l.isHosts() && l.Message == "invocation refused" {
		close(h.end(l.requestID))
	}
}

// end returns what is closed at the last line of a request. h.mu is held.
func (h *host) end(id string) chan struct{} {
	if h.ended[id] == nil {
		h.ended[id] = make(chan struct{})
	}
	return h.ended[id]
}

// wait returns the lines of a request when it has ended.
func (h *host) wait(id string, atMost time.Duration) (lines []line, ok bool) {
	h.mu.Lock()
	end := h.end(id)
	h.mu.Unlock()
	timeout := time.NewTimer(atMost)
	defer timeout.Stop()
	select {
	case <-end:
		ok = true
	case <-timeout.C:
	case <-h.gone:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log[id]), ok
}

// printed returns what the host and the function have said so far.
func (h *host) printed() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said.Len() == 0 {
		return "the function logged nothing"
	}
	return "spore says:\n" + h.said.String()
}
