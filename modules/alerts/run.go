package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"

	"spore/guest"
	"spore/guest/kv"
)

// A run judges a list of alerts and notifies of those that are to be sent. It is
// what a schedule calls every few minutes; the alerts do not know of each other, and
// one that is wrong does not keep the others from being judged.
type runRequest struct {
	items  []runItem
	notify target
}

// runItem is one alert of a run, or what is wrong with it.
type runItem struct {
	id       string
	alert    *alert
	problems []problem
}

const (
	maxAlerts   = 50 // in one run
	maxRunCalls = 40 // upstream calls of one run; a place and a forecast are asked for once
)

// reasonBudget: the run had made maxRunCalls.
const reasonBudget = "call_budget"

// runToken names the secret that a run over HTTP has to show, as a bearer's token:
// whoever can reach the route could otherwise notify people.
const runToken = "ALERTS_RUN_TOKEN"

func (r *reader) run(top object, now time.Time) *runRequest {
	o := r.object("run", top.fields["run"], "alerts", "notify", "horizon_hours", "definitions")
	req := &runRequest{}
	if o.need("notify") {
		req.notify = r.target(r.object("run.notify", o.fields["notify"], targetSlack, targetWebhook))
	}
	if o.has("horizon_hours") {
		o.integer("horizon_hours", 1, maxHorizon)
	}
	r.definitions(o, object{reader: r, path: "run"})
	seen := map[string]bool{}
	for _, v := range o.list("alerts", 1, maxAlerts) {
		item := readItem(o, v, now)
		if item.alert != nil && seen[item.id] {
			item.alert, item.problems = nil, []problem{{Path: "alert.id", Problem: "another alert of this run has it"}}
		}
		seen[item.id] = true
		req.items = append(req.items, item)
	}
	return req
}

// checkRun refuses the run of the environment where every event would be refused;
// single alerts that are wrong are each run's to report. None is fine.
func checkRun(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	fields, bad := parseObject(body)
	if bad != nil {
		return fmt.Errorf("ALERTS_RUN: %s, after %d bytes", bad.reason, bad.at)
	}
	if _, isRun := fields["run"]; !isRun {
		return errors.New(`ALERTS_RUN: must be {"run": ...}, as an event has it`)
	}
	if _, problems := readRequest(fields, time.Now()); len(problems) > 0 {
		return fmt.Errorf("ALERTS_RUN: %s: %s", problems[0].Path, problems[0].Problem)
	}
	return nil
}

func (r *reader) target(o object) target {
	for _, kind := range [...]string{targetSlack, targetWebhook} {
		if !o.has(kind) {
			continue
		}
		if len(o.fields) == 1 {
			return target{kind, o.text(kind, 1, 256)}
		}
	}
	if o.fields != nil {
		r.report(o.path, "must name one receiver by the secret that holds its URL", targetSlack, targetWebhook)
	}
	return target{}
}

// readItem reads one alert as if it had come alone, with what the run says for all.
func readItem(run object, v any, now time.Time) runItem {
	fields := map[string]any{"alert": v}
	for _, name := range [...]string{"horizon_hours", "definitions"} {
		if run.has(name) {
			fields[name] = run.fields[name]
		}
	}
	r := &reader{}
	top := r.object("", fields, "alert", "horizon_hours", "definitions")
	a := r.alert(top, now)
	if a.id == "" && len(r.problems) == 0 {
		r.report("alert.id", "missing: what was sent is remembered by it")
	}
	if len(r.problems) > 0 {
		return runItem{id: a.id, problems: r.problems}
	}
	return runItem{id: a.id, alert: a}
}

// runAnswer is what a run says.
type runAnswer struct {
	EvaluatedAt string     `json:"evaluated_at"`
	Alerts      []runAlert `json:"alerts"` // in the order of the request
}

type runAlert struct {
	AlertID      string        `json:"alert_id,omitempty"`
	Decision     string        `json:"decision,omitempty"`
	Window       *windowSaid   `json:"window,omitempty"`
	Unknown      []string      `json:"unknown,omitempty"` // reasons why it is undetermined
	Calls        []call        `json:"calls,omitempty"`
	Notification *notification `json:"notification,omitempty"` // of decision send
	Error        *failureBody  `json:"error,omitempty"`
}

// run answers a run request.
func (s *service) run(ctx context.Context, req *runRequest) runAnswer {
	once := *s
	once.fetch = s.fetchOnce()
	answer := runAnswer{EvaluatedAt: stamp(s.now())}
	for i := range req.items {
		out := once.runItem(ctx, req.notify, &req.items[i])
		out.log()
		answer.Alerts = append(answer.Alerts, out)
	}
	return answer
}

func (s *service) runItem(ctx context.Context, t target, item *runItem) runAlert {
	out := runAlert{AlertID: item.id}
	if item.alert == nil {
		out.Error = &failureBody{Code: "invalid_params", Message: "correct the problems listed", Problems: item.problems}
		return out
	}
	answer, err := s.evaluate(ctx, item.alert)
	if err != nil {
		_, f := s.refusal(err)
		out.Error = &f.Error
		return out
	}
	out.Decision, out.Window, out.Calls = answer.Decision, answer.Window, answer.Calls
	switch answer.Decision {
	case undetermined:
		for _, v := range answer.Conditions {
			if v.Result == unknown {
				out.Unknown = append(out.Unknown, v.Reason)
			}
		}
	case send:
		n := s.notify(ctx, t, item.alert, answer, answer.Window.window())
		out.Notification = &n
	}
	return out
}

// window is the window that was said.
func (w *windowSaid) window() window {
	start, _ := time.Parse(time.RFC3339, w.Start) // stamp wrote it
	return window{start, start.Add(time.Duration(w.Seconds) * time.Second)}
}

// log leaves a line for what somebody should look at.
func (a *runAlert) log() {
	const warn = 4
	switch {
	case a.Error != nil:
		guest.Log(warn, "alert not judged", "alert_id", a.AlertID, "code", a.Error.Code)
	case a.Notification != nil && a.Notification.Result != stateSent && a.Notification.Result != alreadySent:
		n := a.Notification
		guest.Log(warn, "notification "+n.Result, "alert_id", a.AlertID, "reason", n.Reason, "status", strconv.Itoa(n.Status))
	}
}

// fetchOnce is fetch for one run: it makes no call twice, and at most maxRunCalls.
func (s *service) fetchOnce() fetchFunc {
	type answer struct {
		status  int
		headers guest.Pairs
		body    []byte
		err     error
	}
	seen := map[string]answer{}
	return func(ctx context.Context, url string, headers guest.Pairs) (int, guest.Pairs, []byte, error) {
		asked := url + " " + headers.Get("if-modified-since")
		a, ok := seen[asked]
		switch {
		case ok:
		case len(seen) == maxRunCalls:
			return 0, nil, nil, errBudget
		default:
			a.status, a.headers, a.body, a.err = s.fetch(ctx, url, headers)
			seen[asked] = a
		}
		return a.status, a.headers, a.body, a.err
	}
}

var errBudget = errors.New(reasonBudget)

// mayRun reports whether an event may notify people: one that came over HTTP shows
// the token; a schedule and spore invoke --local are the operator's.
func (s *service) mayRun(ev *guest.Event) bool {
	if ev.Trigger != "http" {
		return true
	}
	token, err := s.secret(runToken)
	given := ev.Headers.Get("authorization")
	return err == nil && token != "" && subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+token)) == 1
}

// remembers returns nil if what was sent can be looked up, and the answer to a run
// otherwise.
func (s *service) remembers(ctx context.Context) (uint32, any) {
	kind := guest.Denied
	if s.store != nil {
		_, _, err := s.store.get(ctx, claimsKey("?"))
		if err == nil || errors.Is(err, kv.ErrNotFound) {
			return 0, nil
		}
		kind = guest.KindOf(err)
	}
	if kind == guest.Denied {
		return 500, failed(failureBody{Code: "not_configured",
			Message: "a run remembers what it has sent: give the function kv = \"1MiB\" in functions.toml"})
	}
	return 503, failed(failureBody{Code: "store_unavailable", Message: "what was sent cannot be looked up now, so nothing is sent; the next run tries again"})
}
