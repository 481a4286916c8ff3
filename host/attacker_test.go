package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
)

// attack is a load that clients put on functions, each the next request as soon as
// the last is answered. It is named for the rows of the list of attacks that it is.
type attack struct {
	Name, Method string
	Paths        []string // asked for by turns
	BodyBytes    int
	Clients      int
	Statuses     []int // of its answers, beside 429, 503 and 504
}

var attacks = []attack{
	{"G1 endless loops", "GET", []string{"/spin"}, 0, 50, nil},
	{"G2 endless calls without a loop", "GET", []string{"/handmade/tree", "/handmade/mutual"}, 0, 50, nil},
	{"G3 endless host calls", "GET", []string{"/entropy", "/handmade/cheap"}, 0, 8, nil},
	{"G4 endless bulk instructions", "GET", []string{"/clear", "/handmade/copy"}, 0, 8, nil},
	{"G5 sleepers", "GET", []string{"/sleep"}, 0, 300, nil},
	{"G6 memory", "GET", []string{"/grow"}, 0, 8, []int{502}},
	{"G8 recursion", "GET", []string{"/recurse"}, 0, 4, []int{502}},
	{"G11 floods of output", "GET", []string{"/flood"}, 0, 4, []int{200}},
	{"G9 G10 traps and exits", "GET", []string{"/map", "/trap", "/exit", "/deadlock", "/unlock", "/handmade/unreachable", "/handmade/zero"}, 0, 8, []int{502}},
	{"G10 panics", "GET", []string{"/panic"}, 0, 8, []int{502}},
	{"bodies of 6 MiB", "POST", []string{"/body"}, 6 << 20, 8, []int{200}},
	{"G13 answers over the limit", "GET", []string{"/large"}, 0, 8, []int{502}},
	{"G13 answers that cannot be sent", "GET", []string{"/handmade/split", "/handmade/nul", "/handmade/interim", "/handmade/status", "/handmade/many", "/handmade/garbage"}, 0, 8, []int{502}},
	{"G14 wild pointers", "GET", []string{"/handmade/wild"}, 0, 8, []int{502}},
	{"G16 calls out of order", "GET", []string{"/handmade/unasked", "/handmade/twice", "/handmade/again"}, 0, 8, []int{200, 502}},
}

// attackResult is what the clients of an attack saw.
type attackResult struct {
	Answers, Failures int
	Statuses          []int
}

// attack attacks the host until ctx ends.
func (h *testHost) attack(ctx context.Context, a attack) (saw attackResult) {
	h.t.Helper()
	h.elsewhere(ctx, "attack", a, &saw, "chrt --idle 0", "nice -n 19")
	return saw
}

func attackMain() { clientMain(attack.run) }

// question is a path that is asked for again and again, after every tick that is
// not over before the last answer.
type question struct {
	Path string
	Tick time.Duration
}

// ask asks until ctx ends and returns how long each answer took. Any answer but 200
// fails the test.
func (h *testHost) ask(ctx context.Context, q question) (took []time.Duration) {
	h.t.Helper()
	h.elsewhere(ctx, "ask", q, &took, "chrt --fifo 1")
	require.NotEmpty(h.t, took, q.Path)
	return took
}

func askMain() { clientMain(question.run) }

func (q question) run(ctx context.Context, host string) (took []time.Duration) {
	tick := time.NewTicker(q.Tick)
	defer tick.Stop()
	for ctx.Err() == nil {
		start := time.Now()
		res, err := http.Get(host + q.Path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "ask:", err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		took = append(took, time.Since(start))
		if res.StatusCode != 200 {
			fmt.Fprintf(os.Stderr, "ask: %s: %d %s\n", q.Path, res.StatusCode, body)
			os.Exit(1)
		}
		<-tick.C
	}
	return took
}

// elsewhere runs a client of the host until ctx ends, in a process of its own, and
// reads what it saw. Clients have machines of their own, so what they cost is kept
// apart from the host as far as one machine can: attackers get what others leave, and
// those who measure wait for nobody. Of the ways to run it the first is taken that this
// machine allows, if any.
func (h *testHost) elsewhere(ctx context.Context, command string, order, saw any, ways ...string) {
	h.t.Helper()
	text, err := json.Marshal(order)
	require.NoError(h.t, err)
	args := []string{command, h.url, string(text)}
	for _, way := range ways {
		prefix := strings.Fields(way)
		if exec.Command(prefix[0], append(prefix[1:], "true")...).Run() == nil {
			args = append(prefix, args...)
			break
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	end, err := cmd.StdinPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, cmd.Start())
	<-ctx.Done()
	require.NoError(h.t, end.Close())
	require.NoError(h.t, cmd.Wait())
	require.NoError(h.t, json.Unmarshal(out.Bytes(), saw), "%s", &out)
}

// clientMain is the command of such a process. It ends with its standard input.
func clientMain[Order, Saw any](run func(order Order, ctx context.Context, host string) Saw) {
	var order Order
	if err := json.Unmarshal([]byte(os.Args[2]), &order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(run(order, ctx, os.Args[1])); err != nil {
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
			for i := 0; ctx.Err() == nil; i++ {
				note(a.one(client, host+a.Paths[i%len(a.Paths)], body))
			}
		})
	}
	clients.Wait()
	return saw
}

func (a attack) one(client *http.Client, url string, body []byte) (status int, err error) {
	req, err := http.NewRequest(a.Method, url, nil)
	if err != nil {
		return 0, err
	}
	if len(body) > 0 { // sent in pieces: the kernel, which the host shares with its attacker here, does not interrupt itself
		req.Body, req.ContentLength = io.NopCloser(struct{ io.Reader }{bytes.NewReader(body)}), int64(len(body))
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// handmade is a module for what no Go compiler makes of a program. Its one page of
// memory has its answer in front and room for the event behind.
type handmade struct {
	start     []byte   // code of _start, before it asks for its first request
	serve     []byte   // code of spore_serve
	locals    int      // of _start, which are i32
	functions [][]byte // code of others, without parameters and results, from firstFunction on
	tables    [][]byte // as the table section has them
	answer    []byte   // a frame
}

// What a hand-made module has: imports and functions by index, addresses, and global 0,
// an i32.
const (
	nextRequest, sendResponse = 0, 1
	firstFunction             = 4 // behind _start and spore_serve
	answerAt                  = 0x100
	eventAt, eventSize        = 0x8000, 0x8000
)

// i32 is an i32.const.
func i32(v int32) []byte {
	return []byte{0x41, byte(v) | 0x80, byte(v>>7) | 0x80, byte(v>>14) | 0x80, byte(v>>21) | 0x80, byte(v>>28) & 0x7f}
}

// calling calls one of the two imports and drops its result.
func calling(index byte, ptr, size int32) []byte {
	return slices.Concat(i32(ptr), i32(size), []byte{0x10, index, 0x1a})
}

func take() []byte { return calling(nextRequest, eventAt, eventSize) }

func wasmVector(items ...[]byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(items))), slices.Concat(items...)...)
}

func wasmSized(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

// wasmModule is the sections, each its id and its content.
func wasmModule(sections ...[]byte) []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		wasm = append(append(wasm, s[0]), wasmSized(s[1:])...)
	}
	return wasm
}

func (m handmade) bytes() []byte {
	section := func(id byte, items ...[]byte) []byte { return append([]byte{id}, wasmVector(items...)...) }
	name := func(s string, what ...byte) []byte { return append(wasmSized([]byte(s)), what...) }
	imported := func(s string) []byte { return append(name(abi.Module), name(s, 0, 0)...) }
	locals := append([]byte{1}, append(binary.AppendUvarint(nil, uint64(m.locals)), 0x7f)...)
	types := [][]byte{{1}, {1}}
	code := [][]byte{
		wasmSized(slices.Concat(locals, m.start, calling(nextRequest, 0, 0), []byte{0x0b})),
		wasmSized(slices.Concat([]byte{0}, m.serve, []byte{0x0b})),
	}
	for _, f := range m.functions {
		types, code = append(types, []byte{1}), append(code, wasmSized(slices.Concat([]byte{0}, f, []byte{0x0b})))
	}
	sections := [][]byte{
		section(1, []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 0, 0}),
		section(2, imported(abi.ImportGetNextRequest), imported(abi.ImportSendResponse)),
		section(3, types...),
		section(4, m.tables...),
		section(5, []byte{0, 1}),
		section(6, []byte{0x7f, 1, 0x41, 0, 0x0b}),
		section(7, name(abi.ExportMemory, 2, 0), name(abi.ExportStart, 0, 2), name(abi.ExportServe, 0, 3)),
		section(10, code...),
		section(11, slices.Concat([]byte{0}, i32(answerAt), []byte{0x0b}, wasmSized(m.answer))),
	}
	return wasmModule(sections...)
}

// answering is a function that answers with a frame, whatever it is.
func answering(frame []byte) handmade {
	return handmade{serve: append(take(), calling(sendResponse, answerAt, int32(len(frame)))...), answer: frame}
}

func answeringResult(res abi.Result) handmade { return answering(abi.AppendResult(nil, &res)) }

// handmades are hostile functions by name.
var handmades = map[string]handmade{
	"tree":        {serve: append(take(), 0x10, firstFunction), functions: callTree(60)},
	"mutual":      {serve: append(take(), 0x10, firstFunction), functions: [][]byte{mutual(1), mutual(0)}},
	"cheap":       {serve: slices.Concat([]byte{0x03, 0x40}, calling(nextRequest, 0, 0), []byte{0x0c, 0, 0x0b})},
	"copy":        {serve: slices.Concat(take(), i32(1023), []byte{0x40, 0, 0x1a, 0x03, 0x40}, i32(0), i32(0), i32(64<<20), []byte{0xfc, 0x0a, 0, 0, 0x0c, 0, 0x0b})},
	"unreachable": {serve: append(take(), 0x00)},
	"zero":        {serve: slices.Concat(take(), i32(1), i32(0), []byte{0x6d, 0x1a})},
	"split":       answeringResult(abi.Result{Headers: abi.Pairs{{Name: "x-a", Value: "b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"}}}),
	"nul":         answeringResult(abi.Result{Headers: abi.Pairs{{Name: "x-a", Value: "b\x00c"}}}),
	"interim":     answeringResult(abi.Result{Status: 101}),
	"status":      answeringResult(abi.Result{Status: 99999}),
	"many":        answeringResult(abi.Result{Headers: slices.Repeat(abi.Pairs{{Name: "x", Value: "y"}}, abi.MaxPairs)}),
	"garbage":     answering([]byte("HTTP/1.1 200 OK\r\n\r\n")),
	"wild": {serve: slices.Concat(calling(nextRequest, -1, 0x7fffffff), take(), calling(sendResponse, -16, 32),
		calling(sendResponse, 0xffff, 2), calling(sendResponse, answerAt, -1))},
	"unasked": {serve: append(calling(sendResponse, answerAt, 64), take()...)},
	"twice":   {serve: append(take(), take()...)},
	"again":   {serve: append(answeringResult(abi.Result{}).serve, calling(sendResponse, answerAt, 64)...), answer: abi.AppendResult(nil, &abi.Result{})},
}

// callTree is functions that each call the next one twice.
func callTree(levels int) [][]byte {
	functions := make([][]byte, levels+1)
	for i := range byte(levels) {
		functions[i] = bytes.Repeat([]byte{0x10, firstFunction + i + 1}, 2)
	}
	return functions
}

// mutual is a function that calls another one twice, down to a depth of 60.
func mutual(other byte) []byte {
	return slices.Concat([]byte{0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x23, 0, 0x41, 60, 0x48, 0x04, 0x40}, // if ++global < 60
		bytes.Repeat([]byte{0x10, firstFunction + other}, 2), []byte{0x0b, 0x23, 0, 0x41, 1, 0x6b, 0x24, 0})
}

// nestedLoops reads every local inside of loops inside of loops: each is a parameter of
// each loop to the compiler.
func nestedLoops(depth, locals int) []byte {
	code := bytes.Repeat([]byte{0x03, 0x40}, depth)
	for i := range locals {
		code = append(binary.AppendUvarint(append(code, 0x20), uint64(i)), 0x1a) // local.get; drop
	}
	return append(code, bytes.Repeat([]byte{0x0b}, depth)...)
}

// deployment is an attempt to deploy a hostile module, and what is in the host's refusal.
type deployment struct {
	wasm    []byte
	refusal string
}

// deployments are attacks by whoever deploys functions, one attempt after the other.
func deployments() map[string][]deployment {
	good := answeringResult(abi.Result{}).bytes()
	endless := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	deep := slices.Concat(bytes.Repeat([]byte{0x02, 0x40}, 100_000), bytes.Repeat([]byte{0x0b}, 100_000))
	isNew := append(i32(int32(time.Now().UnixNano())), 0x1a) // its code was not kept by an earlier run
	slow := deployment{handmade{start: slices.Concat(isNew, nestedLoops(100, 2000), []byte{0x00}), locals: 2000}.bytes(), "unreachable"}
	if *long {
		slow = deployment{handmade{start: nestedLoops(100, 20_000), locals: 20_000}.bytes(), "takes over 30 s of processor time"}
	}
	return map[string][]deployment{
		"M1 endless counts": {
			{wasmModule(append([]byte{1}, endless...)), "4294967295 types in 0 bytes"},
			{wasmModule(append([]byte{3}, endless...)), "4294967295 functions in 0 bytes"},
			{wasmModule(append([]byte{11}, endless...)), "4294967295 data segments in 0 bytes"},
		},
		"M2 G7 G17 more than a module may have": {
			{handmade{locals: 100_000_000}.bytes(), "100000000 locals"},
			{handmade{start: deep}.bytes(), "blocks nested"},
			{handmade{tables: [][]byte{append([]byte{0x70, 0}, binary.AppendUvarint(nil, 1<<27)...)}}.bytes(), "a table of 134217728 entries"},
			{bytes.Replace(good, []byte(abi.ImportSendResponse), []byte("send_nonsense"), 1), "spore1.send_nonsense does not exist"},
		},
		"M4 work for the compiler": {slow},
		"M5 files that are no modules": {
			{good[:len(good)/2], "bytes where"},
			{nil, "not a WebAssembly binary"},
			{[]byte("(module)"), "text format"},
			{append([]byte("\x00asm\x0d\x00\x01\x00"), good[8:]...), "a WebAssembly component"},
		},
		"M8 initialisations that go wrong": {
			{handmade{start: []byte{0x03, 0x40, 0x0c, 0, 0x0b}}.bytes(), "no request was asked for within"},
			{handmade{start: []byte{0x10, firstFunction}, functions: callTree(60)}.bytes(), "no request was asked for within"},
			{handmade{start: []byte{0x00}}.bytes(), "unreachable"},
		},
	}
}
