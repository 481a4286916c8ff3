// Probe is the guest of the sandbox tests: the event's path says what it does.
package main

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	mrand "math/rand"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"spore/guest"
)

var (
	counter   int
	heap      = map[string]int{}
	startedAt = time.Now()
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
		fmt.Fprintln(os.Stderr, "cannot find my configuration")
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
	case "look":
		for i := range ev.Body {
			ev.Body[i] = ^ev.Body[i] // the copy in the event's own buffer, which is not counted
		}
		return guest.Text(strconv.Itoa(occurrences(ev.Body))), nil
	case "look-at-own":
		mark(ev.Body)
		return guest.Text(strconv.Itoa(occurrences(ev.Body))), nil
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
	case "deadlock":
		<-make(chan int)
	case "grow":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
			runtime.KeepAlive(kept)
		}
	case "recurse":
		return guest.Text(strconv.Itoa(recurse(1))), nil
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

//go:noinline
func recurse(n int) int { return recurse(n+1) + 1 }

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
		if uintptr(at+i)+1 != own { // memory begins at address 1
			n++
		}
		at += i + 1
	}
}

//go:linkname currentMemory runtime.currentMemory
func currentMemory() int32

// linearMemory is all of it but address 0, which Go takes for nil.
func linearMemory() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), 1)), int(currentMemory())<<16-1)
}
