// Kvprobe does with its keys what the event's path says, and answers with what came
// of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"spore/guest"
	"spore/guest/kv"
)

func main() { guest.Start(handle) }

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	key := ev.RawQuery
	switch ev.Path[strings.LastIndexByte(ev.Path, '/'):] {
	case "/create":
		_, err := kv.Create(ctx, key, ev.Body, time.Hour)
		return say(err, "created")
	case "/put":
		_, err := kv.Put(ctx, key, ev.Body, 0)
		return say(err, "put")
	case "/get":
		e, err := kv.Get(ctx, key)
		return say(err, string(e.Value))
	case "/expires":
		e, err := kv.Get(ctx, key)
		return say(err, time.Until(e.Expires).Round(time.Minute).String())
	case "/delete":
		return say(kv.Delete(ctx, key), "deleted")
	case "/list":
		keys, err := kv.List(ctx, key)
		return say(err, strings.Join(keys, ","))
	case "/count":
		return count(ctx, key)
	case "/timeout":
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err := kv.Get(ctx, key)
		return say(err, "")
	case "/leave":
		_, err := kv.Put(ctx, key, ev.Body, 0)
		go kv.Get(context.WithoutCancel(ctx), key)
		return say(err, "left")
	}
	return guest.Result{Status: 404}, nil
}

// count adds one to a number by compare-and-set, however often it takes.
func count(ctx context.Context, key string) (guest.Result, error) {
	for {
		e, err := kv.Get(ctx, key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return say(err, "")
		}
		_, err = kv.Update(ctx, key, append(e.Value, 'x'), e.Revision, 0)
		if !errors.Is(err, kv.ErrConflict) {
			return say(err, fmt.Sprint(len(e.Value)+1))
		}
	}
}

// say answers with text, or with the kind of err and what errors.Is makes of it.
func say(err error, text string) (guest.Result, error) {
	switch {
	case err == nil:
		return guest.Text(text), nil
	case errors.Is(err, kv.ErrNotFound):
		text = "ErrNotFound"
	case errors.Is(err, kv.ErrConflict):
		text = "ErrConflict"
	default:
		text = err.Error()
	}
	return guest.Text(guest.KindOf(err).String() + ": " + text), nil
}
