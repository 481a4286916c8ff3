package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// served is one variant of one workload, served by a process of its own and put
// under load by another.
type served struct {
	name     string
	order    order
	server   *child
	client   *client
	requests int // in all

	rate, p50, p99 series
	logged         float64 // REPORT lines written, of requests; the log drops what it cannot keep up with
}

// client is the process that makes the load, for one server at a time.
type client struct{ *child }

// addServed starts the servers of a workload, and before the first the client. busy is
// what a request costs spore without HTTP.
func (b *bench) addServed(w workload, module string, busy time.Duration) error {
	if b.client == nil {
		c, err := startChild(clientCommand)
		if err != nil {
			return err
		}
		b.client = &client{c}
		b.closers = append(b.closers, func() error { return c.stop(nil) })
	}
	for _, variant := range []string{"native", "busy", "unisolated", "spore"} {
		spin := time.Duration(0)
		if variant == "busy" {
			spin = busy
		}
		s, err := b.startServer(w, variant, module, spin)
		if err != nil {
			return err
		}
		b.served = append(b.served, s)
		b.closers = append(b.closers, s.stop)
	}
	return nil
}

func (b *bench) startServer(w workload, variant, module string, busy time.Duration) (*served, error) {
	answer, err := w.native(w.body)
	if err != nil {
		return nil, err
	}
	server, err := startChild(serverCommand, variant, w.name, module, b.dir, profilePath(b.profiles, w.name, variant), busy.String())
	if err != nil {
		return nil, err
	}
	var at listening
	if err := server.hear(&at); err != nil {
		return nil, errors.Join(err, server.stop(nil))
	}
	name := w.name + "/http/" + variant
	s := &served{name: name, server: server, client: b.client,
		rate: series{name: name + "/rate", unit: "1/s"}, p50: series{name: name + "/p50", unit: "us"}, p99: series{name: name + "/p99", unit: "us"}}
	s.order = order{Address: at.Address, Request: request(w, at.Address), Answer: answer, Warm: b.block / 10, Block: b.block}
	return s, nil
}

// request is w's request as a small client sends it.
func request(w workload, host string) []byte {
	head := w.method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if w.body != nil {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(w.body))
	}
	return append([]byte(head+"\r\n"), w.body...)
}

// block puts the server under load once.
func (s *served) block() error {
	res, err := s.client.run(&s.order)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.requests += res.Requests
	s.rate.add([]float64{res.Rate})
	s.p50.add([]float64{res.P50})
	s.p99.add([]float64{res.P99})
	return nil
}

// run has the client carry out an order. The client does so within the order's
// time and a grace, or reports an error.
func (c *client) run(o *order) (load, error) {
	var res load
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return res, err
	}
	if err := c.hear(&res); err != nil {
		return res, err
	}
	if res.Err != "" {
		return res, errors.New(res.Err)
	}
	return res, nil
}

// stop ends the server and learns how much it logged.
func (s *served) stop() error {
	var last ended
	if err := s.server.stop(&last); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.logged = float64(last.LogLines) / float64(max(1, s.requests))
	return nil
}
