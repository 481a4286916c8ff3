// Netprobe calls the upstream in its event's body with plain net/http.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	_ "spore/guest/roundtrip"
)

func main() { guest.Start(handle) }

func handle(ctx context.Context, ev guest.Event) (guest.Result, error) {
	url := string(ev.Body)
	switch ev.Path {
	case "/parallel":
		return parallel(url)
	case "/leave":
		_, err := http.Get(url + "/slow") // the answer is never read
		return guest.Text(fmt.Sprint(err)), nil
	case "/collect": // files that nobody holds any more are closed while the answer arrives
		res, err := http.Get(url + "/large")
		runtime.GC()
		time.Sleep(time.Millisecond)
		return read(res, err)
	case "/signal": // Go has a goroutine wait for one by asking again and again
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
		res, err := http.Get(url + "/slow")
		return read(res, err)
	case "/post":
		res, err := http.Post(url+"/echo", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
		return read(res, err)
	case "/kind":
		_, err := fetch.Get(ctx, url)
		return guest.Text(guest.KindOf(err).String()), nil
	case "/cancel":
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", url+"/never", nil)
		if err != nil {
			return guest.Result{}, err
		}
		_, err = http.DefaultClient.Do(req)
		return guest.Text(fmt.Sprint(err)), nil
	}
	res, err := http.Get(url + ev.Path)
	return read(res, err)
}

func read(res *http.Response, err error) (guest.Result, error) {
	if err != nil {
		return guest.Text("error: " + err.Error()), nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return guest.Text("error: " + err.Error()), nil
	}
	return guest.Text(fmt.Sprint(res.StatusCode, " ", len(body), " ", res.Header.Get("X-Upstream"))), nil
}

// parallel calls ten slow upstreams at once while a ticker ticks.
func parallel(url string) (guest.Result, error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	var ticks atomic.Int32
	go func() {
		for range ticker.C {
			ticks.Add(1)
		}
	}()
	start := time.Now()
	var wg sync.WaitGroup
	var good atomic.Int32
	for range 10 {
		wg.Go(func() {
			res, err := http.Get(url + "/slow")
			if err == nil && res.StatusCode == 200 {
				good.Add(1)
				res.Body.Close()
			}
		})
	}
	wg.Wait()
	return guest.Text(fmt.Sprint(good.Load(), " ", time.Since(start).Milliseconds(), " ", ticks.Load())), nil
}
