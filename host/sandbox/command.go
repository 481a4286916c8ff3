package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"spore/abi"
	"spore/host/function"
	"spore/host/wasmbin"
)

// A module with _start and without spore_serve is a plain WASI command. Every
// event gets a new instance and runs all of it: the event's body is its standard
// input, what it has written to standard output when it ends with status 0 is the
// answer, and standard error is logged. What else there is to know about the
// event is in the environment, under the names of CGI (RFC 3875).

// maxEnviron bounds a command's environment in bytes. A guest's event has the
// same bound without its body; a head that came over HTTP is far below it.
const maxEnviron = abi.MaxHead

var errOutput = fmt.Errorf("it wrote more than %d bytes to standard output, which is the answer", abi.MaxBody)

// isCommand reports whether the module is to run as a plain WASI command. One
// that speaks the ABI without exporting spore_serve is a guest with a mistake.
func isCommand(m *wasmbin.Module) bool {
	speaks := slices.ContainsFunc(m.Imports, func(im wasmbin.Import) bool { return im.Module == abi.Module })
	return !speaks && !m.Exports(abi.ExportServe) && m.Exports(abi.ExportStart)
}

// entry is the export that an event enters by.
func (s *snapshot) entry() string {
	if s.Command {
		return abi.ExportStart
	}
	return abi.ExportServe
}

// command is the state of a command's run.
type command struct {
	environ []string
	stdin   []byte // what is left of the body
	stdout  []byte
}

// beCommand makes r the run of a command: its event is there from the beginning.
func (r *run) beCommand() error {
	c := &command{environ: append(slices.Clone(r.img.environ), cgiVariables(r.ev, r.img.settings.Env)...), stdin: r.ev.Body}
	size := 0
	for _, e := range c.environ {
		size += len(e) + 1
	}
	if size > maxEnviron {
		return &function.Error{Kind: abi.TooLarge, Op: "run " + r.img.settings.Name,
			Err: fmt.Errorf("the environment, the event's headers included, has %d bytes; a command may have %d", size, maxEnviron)}
	}
	r.phase, r.command = phaseServing, c
	return nil
}

// readInput is fd_read of standard input: the body of a command's event, and
// nothing at all for a guest.
func (r *run) readInput(mem guestMemory, a []uint64) errno {
	if r.command == nil {
		return mem.putU32(a[3], 0)
	}
	total, rest := 0, r.command.stdin
	err := mem.eachBuffer(a[1], a[2], func(buf []byte) bool {
		n := copy(buf, rest[total:])
		total += n
		return n == len(buf)
	})
	if err != success {
		return err
	}
	r.command.stdin = rest[total:]
	return mem.putU32(a[3], uint32(total))
}

// write takes p as written to standard output. More than an answer may hold ends
// the run.
func (c *command) write(p []byte) {
	if len(c.stdout)+len(p) > abi.MaxBody {
		panic(errOutput)
	}
	c.stdout = append(c.stdout, p...)
}

// answer replies with what a command that ended well has written, if it is in time.
func (r *run) answer() {
	if r.ended >= r.respond {
		return
	}
	r.result = abi.Result{ContentType: "application/octet-stream", Body: r.command.stdout}
	if utf8.Valid(r.result.Body) {
		r.result.ContentType = "text/plain; charset=utf-8"
	}
	r.phase, r.pending = phaseAnswered, true
}

// endedWell reports whether err, which ended a run, is the exit of a command with
// status 0.
func (r *run) endedWell(err error) bool {
	var exit *exitError
	return r.command != nil && errors.As(err, &exit) && exit.code == 0
}

// environ is the environment the running module sees.
func (r *run) environ() []string {
	if r.command != nil {
		return r.command.environ
	}
	return r.img.environ
}

// cgiVariables describes ev as RFC 3875 does, section 4.1, without the variables
// that configured has: no client may change what the operator has set. A value
// with a zero byte, which would end it early, is left out.
func cgiVariables(ev *abi.Event, configured map[string]string) (list []string) {
	set := func(name, value string) {
		if _, ok := configured[name]; !ok && strings.IndexByte(value, 0) < 0 {
			list = append(list, name+"="+value)
		}
	}
	if ev.ContentType != "" {
		set("CONTENT_TYPE", ev.ContentType)
	}
	if len(ev.Body) > 0 {
		set("CONTENT_LENGTH", strconv.Itoa(len(ev.Body)))
	}
	if ev.Method != "" { // it came over HTTP
		setRequest(ev, set)
		setHeaders(ev.Headers, set)
	}
	return list
}

// setRequest sets the variables of an HTTP request beside its headers.
func setRequest(ev *abi.Event, set func(name, value string)) {
	set("GATEWAY_INTERFACE", "CGI/1.1")
	set("SERVER_SOFTWARE", "spore")
	set("SERVER_PROTOCOL", "HTTP/1.1")
	set("REQUEST_METHOD", ev.Method)
	set("SCRIPT_NAME", "")
	if path, err := url.PathUnescape(ev.Path); err == nil {
		set("PATH_INFO", path)
	}
	set("QUERY_STRING", ev.RawQuery)
	uri := ev.Path
	if ev.RawQuery != "" {
		uri += "?" + ev.RawQuery
	}
	set("REQUEST_URI", uri) // as on the wire; no variable of the RFC, but all servers have it
	if host, port, err := net.SplitHostPort(ev.ClientAddr); err == nil {
		set("REMOTE_ADDR", host)
		set("REMOTE_PORT", port)
	}
	name, port, err := net.SplitHostPort(ev.Headers.Get("host"))
	if err != nil {
		name, port = ev.Headers.Get("host"), "80"
	}
	set("SERVER_NAME", name)
	set("SERVER_PORT", port)
}

// setHeaders sets HTTP_NAME for each header, the values of one that is repeated
// joined. Left out are those that have variables of their own, Proxy, because
// HTTP_PROXY means something else to programs (CVE-2016-5385), and names with
// anything but letters, digits and hyphens, because X_A would pass for X-A.
func setHeaders(headers abi.Pairs, set func(name, value string)) {
	values := map[string][]string{}
	for _, h := range headers {
		switch name := variableName(h.Name); name {
		case "", "HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH":
		default:
			values[name] = append(values[name], h.Value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		separator := ", "
		if name == "HTTP_COOKIE" {
			separator = "; "
		}
		set(name, strings.Join(values[name], separator))
	}
}

// variableName returns the name of a header's variable, or "" if it has none.
func variableName(header string) string {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}
	if header == "" || strings.ContainsFunc(header, other) {
		return ""
	}
	return "HTTP_" + strings.ReplaceAll(strings.ToUpper(header), "-", "_")
}
