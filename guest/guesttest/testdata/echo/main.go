// Echo does what the path says, for the tests of guesttest.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/secret"
)

var count int

func main() {
	if os.Getenv("BROKEN") != "" {
		panic("cannot start")
	}
	guest.Start(handle)
}

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	switch ev.Path {
	case "/count":
		count++
		return guest.Text(fmt.Sprint(count)), nil
	case "/env":
		return guest.Text(os.Getenv(ev.RawQuery)), nil
	case "/secret":
		value, err := secret.Get(ev.RawQuery)
		fmt.Println("the secret is", value)
		return guest.Text(value), err
	case "/log":
		guest.Log(4, "look", "colour", "blue", "size", "3")
		fmt.Println("printed")
		fmt.Fprintln(os.Stderr, "REPORT RequestId: "+ev.RequestID+" is not the host's")
		return guest.Result{Status: 202}, nil
	case "/log-large":
		large := strings.Repeat("x", 70<<10)
		guest.Log(8, large, "first", "1")
		guest.Log(8, "a large value", "first", "1", "second", large, "third", "3")
	case "/late":
		err := guest.Respond(guest.Text("now"))
		guest.Log(0, "REPORT RequestId: "+ev.RequestID+"\tDuration: 0.01 ms\t")
		guest.Log(0, "invocation refused")
		time.Sleep(20 * time.Millisecond)
		guest.Log(0, "later")
		return guest.Result{}, err
	case "/late-panic":
		_ = guest.Respond(guest.Text("now"))
		var none map[string]int
		none["late"]++
	case "/fetch":
		res, err := fetch.Get(ctx, os.Getenv("UPSTREAM")+"/figures")
		if err != nil {
			return guest.Result{}, err
		}
		return guest.Result{Status: uint32(res.Status), Body: res.Body}, nil
	case "/redirect":
		return guest.Result{Status: 302, Headers: guest.Pairs{{Name: "location", Value: "/elsewhere"}}}, nil
	case "/many-headers":
		return guest.Result{Headers: make(guest.Pairs, 1001)}, nil
	case "/large":
		return guest.Result{Body: make([]byte, 6<<20+1)}, nil
	case "/headers":
		return guest.Result{ContentType: "text/css", Headers: guest.Pairs{{Name: "Content-Type", Value: "text/csv"},
			{Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "Connection", Value: "close"}}}, nil
	case "/status":
		status, err := strconv.Atoi(ev.RawQuery)
		return guest.Result{Status: uint32(status), Body: []byte("body")}, err
	case "/teapot":
		return guest.Result{Status: 418}, nil
	case "/error":
		return guest.Result{}, errors.New("no such alert")
	case "/spin":
		for {
		}
	}
	answer := ev.Method + " " + ev.Path + "?" + ev.RawQuery + " " + ev.ContentType + " " + ev.Params.Get("name") + " " + string(ev.Body)
	return guest.Result{Headers: ev.Headers, Body: []byte(answer)}, nil
}
