// Warm is the guest of the warm-up tests: the event's path says what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
)

var (
	counter int
	history []string
	seen    = map[string]bool{}
	large   []byte
	garbage []byte
	own     = rand.New(rand.NewPCG(1, 2))
)

func main() {
	guest.Warm(func() {
		history = append(history, "first")
		large = make([]byte, 4<<20) // more than main needed
		large[len(large)-1] = 7
	})
	guest.Warm(func() { history = append(history, "second") })
	guest.Warm(warmMode)
	if os.Getenv("RESTORE") != "" {
		guest.OnRestore(func() { own = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) })
		guest.OnRestore(func() { history = append(history, "restored with "+strconv.Itoa(counter)) })
	}
	if os.Getenv("RESTORE") == "panic" {
		guest.OnRestore(func() { panic("cannot make a generator") })
	}
	guest.Start(handle)
}

// warmMode is what can go wrong in a warm-up by code.
func warmMode() {
	switch os.Getenv("WARM") {
	case "panic":
		panic("no cache today")
	case "exit":
		os.Exit(4)
	case "spin":
		for {
			counter++
		}
	case "refused":
		_, err := secret.Get("TOKEN")
		history = append(history, guest.KindOf(err).String())
		_, err = fetch.Get(context.Background(), "https://example.test/")
		history = append(history, guest.KindOf(err).String())
	}
}

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	counter++
	switch strings.TrimPrefix(ev.Path, "/") {
	case "count":
		return guest.Text(fmt.Sprint(counter, " ", len(large), " ", large[len(large)-1])), nil
	case "history":
		return guest.Text(strings.Join(history, ", ")), nil
	case "own":
		return guest.Text(strconv.FormatUint(own.Uint64(), 10)), nil
	case "shared":
		return guest.Text(strconv.FormatUint(rand.Uint64(), 10)), nil
	case "keep": // strings of the event live on
		seen[ev.Headers.Get("x-keep")] = true
	case "kept":
		return guest.Text(fmt.Sprint(len(seen), seen["one"], seen["two"])), nil
	case "early":
		if err := guest.Respond(guest.Text("early")); err != nil {
			return guest.Result{}, err
		}
	case "allocate":
		n, err := strconv.Atoi(string(ev.Body))
		for range n / 512 {
			garbage = make([]byte, 512)
		}
		return guest.Text("allocated"), err
	case "fetch":
		return call(ctx, string(ev.Body))
	case "secret":
		_, err := secret.Get("TOKEN")
		history = append(history, guest.KindOf(err).String())
	case "spin":
		for {
			counter++
		}
	case "exit":
		os.Exit(5)
	case "error":
		return guest.Result{}, errors.New("no such sample")
	case "unavailable":
		return guest.Result{Status: 503}, nil
	case "missing":
		return guest.Result{Status: 404}, nil
	}
	return guest.Text(ev.Trigger), nil
}

func call(ctx context.Context, url string) (guest.Result, error) {
	res, err := fetch.Get(ctx, url)
	if err != nil {
		history = append(history, err.Error())
		return guest.Text("no answer"), nil
	}
	history = append(history, fmt.Sprint(res.Status, " ", res.Headers.Get("x-from"), " ", string(res.Body)))
	return guest.Text("called"), nil
}
