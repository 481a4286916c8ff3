// Probe is the guest of the sandbox tests: the event's path says what it does.
package main

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	mrand "math/rand"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
)

var (
	counter   int
	heap      = map[string]int{}
	startedAt = time.Now()
	ownSeed   = rand.New(rand.NewPCG(rand.Uint64(), 1)) // frozen with its state
	ticker    *time.Ticker
)

func main() {
	if os.Getenv("PROBE_INIT") != "" {
		initMode(os.Getenv("PROBE_INIT"))
	}
	draws, _ := strconv.Atoi(os.Getenv("PROBE_DRAWS"))
	for range draws {
		rand.Uint64()
	}
	fmt.Println("initialised")
	guest.Start(handle)
}

// initMode is what a module may do wrong before it asks for a request.
func initMode(mode string) {
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find my configuration"+os.Getenv("PROBE_WORDS"))
		os.Exit(3)
	case "return":
		os.Exit(0)
	case "panic":
		panic("no luck today")
	case "spin":
		for {
			counter++
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "grow":
		grow()
	case "ask":
		ask()
	case "tick":
		ticker = time.NewTicker(10 * time.Millisecond)
		<-ticker.C
	case "start without a handler":
		guest.Start(nil)
	case "warm without code":
		guest.Warm(nil)
	case "restore without code":
		guest.OnRestore(nil)
	}
}

// ask asks for what a module cannot have before its first request.
func ask() {
	_, err := secret.Get("TOKEN")
	fmt.Println("secret:", err)
	_, err = fetch.Get(context.Background(), "https://example.test/")
	fmt.Println("call:", err)
	fmt.Println("answer:", guest.Respond(guest.Text("too early")))
}

func grow() {
	var kept [][]byte
	for {
		kept = append(kept, make([]byte, 1<<20))
		runtime.KeepAlive(kept)
	}
}

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	switch strings.TrimPrefix(ev.Path, "/") {
	case "count":
		counter++
		heap[ev.RequestID]++
		return guest.Text(strconv.Itoa(counter + len(heap) - 1)), nil
	case "random":
		return guest.Text(draw()), nil
	case "own-seed":
		return guest.Text(strconv.FormatUint(ownSeed.Uint64(), 10)), nil
	case "ticks":
		start, n := time.Now(), 0
		for time.Since(start) < 55*time.Millisecond {
			<-ticker.C
			n++
		}
		return guest.Text(fmt.Sprint(n, " ", time.Since(start).Milliseconds())), nil
	case "echo":
		return guest.Result{Status: 201, ContentType: ev.ContentType, Body: ev.Body, Headers: ev.Headers}, nil
	case "body":
		return guest.Text(strconv.Itoa(len(ev.Body))), nil
	case "spin":
		for {
			counter++
		}
	case "mark":
		mark(ev.Body)
		return guest.Text("marked"), nil
	case "mark-and-grow":
		mark(ev.Body)
		big := make([]byte, 8<<20)
		copy(big[len(big)-len(ev.Body):], ev.Body)
		marks = append(marks, big)
		return guest.Text("marked"), nil
	case "mark-and-spin":
		mark(ev.Body)
		for {
			counter++
		}
	case "look":
		for i := range ev.Body {
			ev.Body[i] = ^ev.Body[i] // the copy in the event's own buffer, which is not counted
		}
		return guest.Text(strconv.Itoa(occurrences(ev.Body))), nil
	case "look-at-own":
		mark(ev.Body)
		return guest.Text(strconv.Itoa(occurrences(ev.Body))), nil
	case "leak":
		return guest.Result{}, leak()
	case "clear": // one bulk instruction after the other
		for b := make([]byte, 30<<20); ; {
			clear(b)
		}
	case "entropy":
		for b := make([]byte, 1<<20); ; {
			_, _ = crand.Read(b)
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "nap":
		start := time.Now()
		time.Sleep(20 * time.Millisecond)
		return guest.Text(time.Since(start).String()), nil
	case "exit":
		os.Exit(7)
	case "trap": // an address that no memory has
		return guest.Text(string(rune(*(*byte)(unsafe.Add(unsafe.Pointer(nil), 0xfffffff0))))), nil
	case "panic":
		panic("handler lost its way")
	case "error":
		return guest.Result{}, errors.New("no such alert")
	case "start":
		guest.Start(handle)
	case "deadlock":
		<-make(chan int)
	case "map":
		writeTwice(map[int]int{})
	case "unlock":
		new(sync.Mutex).Unlock()
	case "grow":
		grow()
	case "recurse":
		return guest.Text(strconv.Itoa(recurse(1))), nil
	case "descend": // as many calls deep as the body says
		depth, _ := strconv.Atoi(string(ev.Body))
		return guest.Text(strconv.Itoa(descend(depth, ev.Body))), nil
	case "early":
		if err := guest.Respond(guest.Text("first")); err != nil {
			return guest.Result{}, err
		}
		time.Sleep(30 * time.Millisecond)
		fmt.Println("still here")
		return guest.Text("second"), nil
	case "clock":
		return guest.Text(strconv.FormatInt(time.Now().UnixNano(), 10) + " " + strconv.FormatInt(int64(time.Since(startedAt)), 10)), nil
	case "deadline":
		d, ok := ctx.Deadline()
		return guest.Text(fmt.Sprint(ok, " ", d.UnixMilli())), nil
	case "goroutines":
		c := make(chan int)
		for i := range 10 {
			go func() { c <- i }()
		}
		sum := 0
		for range 10 {
			sum += <-c
		}
		runtime.GC()
		return guest.Text(strconv.Itoa(sum)), nil
	case "log":
		fmt.Fprintln(os.Stderr, "to stderr")
		fmt.Println("to stdout")
		guest.Log(4, "structured", "key", "value")
		return guest.Text("ok"), nil
	case "flood":
		for range 100_000 {
			fmt.Println(strings.Repeat("x", 100))
		}
		return guest.Text("ok"), nil
	case "env":
		return guest.Text(strings.Join(os.Environ(), "\n") + "\n" + os.Args[0]), nil
	case "large":
		return guest.Result{Body: make([]byte, 7<<20)}, nil
	}
	return guest.Result{Status: 404}, nil
}

func draw() string {
	var key [8]byte
	_, _ = crand.Read(key[:])
	return fmt.Sprint(rand.Uint64(), " ", mrand.Uint64(), " ", maphash.String(maphash.MakeSeed(), "x"), " ", hex.EncodeToString(key[:]))
}

// leak tells a secret to everybody who may listen.
func leak() error {
	value, err := secret.Get("TOKEN")
	if err != nil {
		return err
	}
	for _, form := range []string{value, "Bearer " + value + ".", base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value + "more")),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))), url.QueryEscape(value), url.PathEscape(value), strconv.Quote(value), "\x1b" + value} {
		fmt.Println("stdout", form)
		fmt.Fprintln(os.Stderr, "stderr", form)
		guest.Log(8, "a record with "+form, "key", form, form, "value")
	}
	return errors.New("cannot log in with " + value)
}

// writeTwice does what the runtime reports as concurrent map writes: the map's
// own mark of a write under way stands at byte 34 of its header.
func writeTwice(m map[int]int) {
	header := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	*(*byte)(unsafe.Add(header, 34)) = 1
	m[1] = 1
}

//go:noinline
func recurse(n int) int { return recurse(n+1) + 1 }

//go:noinline
func descend(n int, b []byte) int {
	if n == 0 {
		return len(b)
	}
	return descend(n-1, b) + int(b[n%len(b)]&1)
}

var (
	marks  [][]byte
	global [64]byte
	named  = map[string]string{}
)

// mark leaves b wherever a handler can.
func mark(b []byte) {
	copy(global[:], b)
	named[string(b)] = string(b)
	for range 20 {
		marks = append(marks, append([]byte(nil), b...))
	}
	fmt.Print(string(b)) // an unfinished line
	go func() {
		var local [64]byte
		copy(local[:], b)
		select {} // stays on its stack
	}()
	runtime.Gosched()
}

// occurrences counts b in all of linear memory, b itself left out.
func occurrences(b []byte) int {
	memory := linearMemory()
	own := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	n := 0
	for at := 0; ; {
		i := bytes.Index(memory[at:], b)
		if i < 0 {
			return n
		}
		if uintptr(at+i)+firstAddress != own {
			n++
		}
		at += i + 1
	}
}

//go:linkname currentMemory runtime.currentMemory
func currentMemory() int32

// firstAddress is the lowest one that Go takes for a pointer. Its linker puts
// nothing below.
const firstAddress = 4096

// linearMemory is all of it from firstAddress on.
func linearMemory() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), firstAddress)), int(currentMemory())<<16-firstAddress)
}
