// Conformance is the guest of TestGuestsOfOtherLanguages in Go. Those of
// abi/testdata/guests do the same by the same paths, without an SDK.
package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
)

var (
	counter    int
	initialise string
	kept       []byte
)

func main() {
	_, err := secret.Get("TOKEN")
	_, err2 := fetch.Get(context.Background(), "https://example.test/")
	initialise = guest.KindOf(err).String() + " " + guest.KindOf(err2).String()
	fmt.Println("initialised")
	guest.Start(handle)
}

// NoSuchAlert's name is the report's type.
type NoSuchAlert struct{}

func (NoSuchAlert) Error() string { return "no such alert" }

// The SDK calls get_next_request once, as it should be.
//
//go:wasmimport spore1 get_next_request
func getNextRequest(ptr unsafe.Pointer, size uint32) int32

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	switch ev.Path {
	case "/count":
		counter++
		return guest.Text(strconv.Itoa(counter)), nil
	case "/echo":
		return guest.Result{Status: 201, ContentType: ev.ContentType, Headers: ev.Headers, Body: ev.Body}, nil
	case "/event":
		return guest.Text(event(&ev)), nil
	case "/reverse":
		slices.Reverse(ev.Body)
		return guest.Text(string(ev.Body)), nil
	case "/early":
		err := guest.Respond(guest.Text("first"))
		guest.Log(0, "still here")
		return guest.Result{}, err
	case "/error":
		return guest.Result{}, NoSuchAlert{}
	case "/large":
		return guest.Result{Body: make([]byte, 6<<20+1)}, nil
	case "/secret":
		value, err := secret.Get(string(ev.Body))
		if err != nil {
			return guest.Text(guest.KindOf(err).String()), nil
		}
		return guest.Text(value), nil
	case "/init":
		return guest.Text(initialise), nil
	case "/fetch":
		return guest.Text(call(ctx, string(ev.Body))), nil
	case "/env":
		return guest.Text(strings.Join(os.Environ(), "\n") + "\n" + os.Args[0]), nil
	case "/clock":
		start := time.Now()
		time.Sleep(20 * time.Millisecond)
		return guest.Text(fmt.Sprint(time.Now().UnixNano(), " ", int64(time.Since(start)))), nil
	case "/random":
		var host [8]byte
		_, _ = crand.Read(host[:])
		return guest.Text(fmt.Sprint(rand.Uint64(), " ", binary.LittleEndian.Uint64(host[:]))), nil
	case "/log":
		guest.Log(-4, "structured", "key", "value")
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		return guest.Text("ok"), nil
	case "/grow":
		kept = make([]byte, 8<<20)
		counter++
		return guest.Text("ok"), nil
	case "/trap":
		return guest.Text(string(*(*byte)(unsafe.Add(unsafe.Pointer(&kept), 1<<30)))), nil
	case "/exit":
		os.Exit(3)
	case "/twice":
		return guest.Text(guest.Kind(-getNextRequest(nil, 0)).String()), nil
	case "/spin":
		for {
			counter++
		}
	}
	return guest.Result{Status: 404}, nil
}

func event(ev *guest.Event) string {
	text := fmt.Sprintf("%s %d %d\n%s %s %s %s\n%s %s %s %s\n%s %d %d\n",
		ev.RequestID, ev.DeadlineMS, ev.ResponseDeadlineMS, ev.Function, ev.Version, ev.Trigger, ev.TraceID,
		ev.Method, ev.Path, ev.RawQuery, ev.ClientAddr, ev.ContentType, ev.BodySize, len(ev.Body))
	for _, p := range ev.Headers {
		text += "header " + p.Name + "=" + p.Value + "\n"
	}
	for _, p := range ev.Params {
		text += "param " + p.Name + "=" + p.Value + "\n"
	}
	return text
}

func call(ctx context.Context, url string) string {
	res, err := fetch.Do(ctx, &fetch.Request{Method: "POST", URL: url, Headers: guest.Pairs{{Name: "x-from", Value: "guest"}}, Body: []byte("sent")})
	if err != nil {
		return guest.KindOf(err).String()
	}
	var sum uint32
	for _, c := range res.Body {
		sum += uint32(c)
	}
	return fmt.Sprint(res.Status, " ", res.Headers[0].Value, " ", len(res.Body), " ", sum)
}
