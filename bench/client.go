package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// connections is how many keep requests coming, each the next one as soon as the
// last is answered.
const connections = 16

// order is one block of load, and the client's line of input.
type order struct {
	Address string
	Request []byte // as it goes over the wire
	Answer  []byte // the body every answer must have
	Warm    time.Duration
	Block   time.Duration
}

// load is what came of an order, and the client's line of output.
type load struct {
	Requests int     // all of them, the warm-up's included
	Rate     float64 // a second, from the warm-up's end to the last answer
	P50, P99 float64 // us
	Err      string  `json:",omitempty"`
}

// runClient carries out orders until in ends.
func runClient(in io.Reader, out io.Writer) error {
	orders, results := json.NewDecoder(in), json.NewEncoder(out)
	var workers [connections]worker
	for i := range workers {
		workers[i].latencies = make([]time.Duration, 0, 1<<16) // 4 s at 250,000 requests a second
	}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := results.Encode(carryOut(&o, workers[:])); err != nil {
			return err
		}
	}
}

func carryOut(o *order, workers []worker) load {
	var wg sync.WaitGroup
	begin := time.Now().Add(o.Warm)
	for i := range workers {
		wg.Go(func() { workers[i].run(o, begin, begin.Add(o.Block)) })
	}
	wg.Wait()
	var res load
	var all []time.Duration
	end := begin
	for i := range workers {
		if err := workers[i].err; err != nil {
			return load{Err: err.Error()}
		}
		res.Requests += workers[i].requests
		all = append(all, workers[i].latencies...)
		if workers[i].end.After(end) {
			end = workers[i].end
		}
	}
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))]) / 1e3 }
	res.Rate, res.P50, res.P99 = float64(len(all))/end.Sub(begin).Seconds(), at(0.5), at(0.99)
	return res
}

// worker is one connection's goroutine.
type worker struct {
	latencies []time.Duration
	requests  int
	end       time.Time // of the last
	err       error
	buf       [8 << 10]byte
}

// blockGrace is how long an answer may be late before the block has failed.
const blockGrace = 10 * time.Second

// run makes requests that don't count until begin, then at least one that does,
// until end.
func (w *worker) run(o *order, begin, end time.Time) {
	w.latencies, w.requests = w.latencies[:0], 0
	conn, err := net.Dial("tcp", o.Address)
	if err != nil {
		w.err = err
		return
	}
	defer conn.Close()
	if w.err = conn.SetDeadline(end.Add(blockGrace)); w.err != nil {
		return
	}
	w.end = time.Now()
	for w.err == nil && w.end.Before(begin) {
		_, w.err = w.timedRequest(conn, o)
	}
	for once := true; w.err == nil && (once || w.end.Before(end)); once = false {
		var took time.Duration
		took, w.err = w.timedRequest(conn, o)
		w.latencies = append(w.latencies, took)
	}
}

// timedRequest makes one request right after the last. One reading of the clock
// serves both.
func (w *worker) timedRequest(conn net.Conn, o *order) (time.Duration, error) {
	if err := w.request(conn, o); err != nil {
		return 0, err
	}
	start := w.end
	w.end = time.Now()
	w.requests++
	return w.end.Sub(start), nil
}

// request makes one request. Answers must fit the buffer, and come alone.
func (w *worker) request(conn net.Conn, o *order) error {
	if _, err := conn.Write(o.Request); err != nil {
		return err
	}
	n, head, length := 0, 0, 0
	for head == 0 || n < head+length {
		if n == len(w.buf) {
			return errors.New("the answer is longer than expected")
		}
		m, err := conn.Read(w.buf[n:])
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		n += m
		if head > 0 {
			continue
		}
		if i := bytes.Index(w.buf[:n], []byte("\r\n\r\n")); i >= 0 {
			head = i + 4
			if length, err = contentLength(w.buf[:head]); err != nil {
				return err
			}
		}
	}
	if !bytes.Equal(w.buf[head:n], o.Answer) {
		return fmt.Errorf("unexpected answer %q", w.buf[:n])
	}
	return nil
}

func contentLength(head []byte) (int, error) {
	_, rest, found := bytes.Cut(head, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r"))
	n, err := strconv.Atoi(string(digits))
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !found || err != nil {
		return 0, fmt.Errorf("unexpected answer %q", head)
	}
	return n, nil
}
