package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"spore/abi"
	"spore/host/function"
)

// Sample is an event that a function serves once before its snapshot is taken,
// so that the snapshot has what the function builds at its first request.
type Sample struct {
	Name      string    `json:"-"` // of its file, for messages
	Recording string    `json:"-"` // name of the file that Calls are in or should be in, for messages
	Event     abi.Event // without what the host fills in
	Calls     []Call    // the only outbound calls that are answered
}

// Call is an outbound call with the answer that was recorded for it.
type Call struct {
	Method  string
	URL     string
	Status  uint32
	Headers abi.Pairs // names in lower case
	Body    []byte
}

// warmUp has an initialised instance do what its first requests would be slower
// for: its own preparations in spore_warm, then every sample event. The snapshot
// is taken after it. Whatever goes wrong is an error: the samples are the
// author's own, and half a warm-up would be noticed by nobody.
//
// It works on the instance that was initialised, not on a copy: the two are equal
// byte for byte. Where draws of random numbers repeat there is no snapshot, and
// requests do not pay for a warm-up of their own.
func (inst *instance) warmUp(ctx context.Context) error {
	s := &inst.res.img.settings
	if warm := inst.mod.ExportedFunction(abi.ExportWarm); warm != nil {
		r := inst.rehearsal(ctx, phaseInit, &Capabilities{Log: s.Log})
		err := r.rehearse(warm)
		if errors.Is(err, errFrozen) || r.misused {
			err = &function.Error{Kind: abi.OutOfOrder, Op: "run " + s.Name, Err: errors.New("host functions of a request were called")}
		}
		if err != nil {
			return s.cold(abi.ExportWarm, err, "look at what the function registers with guest.Warm")
		}
	}
	for i := range s.Warmup {
		sample := &s.Warmup[i]
		if err := inst.rehearseSample(ctx, sample, i+1); err != nil {
			return s.cold(sample.Name, err, "change the sample to one that the function answers without secrets, record its calls in "+sample.Recording+", or take it out of warmup")
		}
	}
	return nil
}

// cold words the failure of a warm-up for the author.
func (s *Settings) cold(what string, err error, hint string) error {
	kind := function.KindOf(err)
	if kind == abi.Deadline {
		hint = fmt.Sprintf("it may take %v; raise init_timeout, or %s", s.InitTimeout, hint)
	}
	return &function.Error{Kind: kind, Op: "warm up with " + what, Err: fmt.Errorf("%w; %s", err, hint)}
}

// rehearsal returns a run that is not a request: under the deadline of an
// initialisation, and with capabilities of its own.
func (inst *instance) rehearsal(ctx context.Context, from phase, can *Capabilities) *run {
	r := newRun(ctx, inst, from, inst.res.img.settings.InitTimeout)
	r.can = can
	return r
}

// rehearse enters the guest for a rehearsal.
func (r *run) rehearse(fn api.Function) error {
	r.pin()
	defer r.unpin()
	return r.enter(fn, nil)
}

// rehearseSample serves the sample event with the number given.
func (inst *instance) rehearseSample(ctx context.Context, s *Sample, number int) error {
	img := inst.res.img
	p := player{sample: s, left: slices.Clone(s.Calls), log: img.settings.log}
	r := inst.rehearsal(ctx, phaseWaiting, &Capabilities{Log: img.settings.Log, HTTP: p.play})
	// Its descriptors are no other event's: what a guest has forgotten to close in a
	// sample it may close at any time later, as Go's collector does.
	r.calls.base = uint32(number * abi.MaxOpenCalls)
	ev := s.Event
	ev.RequestID, ev.Function, ev.Trigger = "warmup-"+strconv.Itoa(number), img.settings.Name, abi.TriggerWarmup
	ev.DeadlineMS = img.engine.opt.Now().Add(img.settings.InitTimeout).UnixMilli()
	ev.ResponseDeadlineMS = ev.DeadlineMS
	ev.Entropy = inst.entropy.next()
	var status uint32
	r.ev, r.reply = &ev, func(res *abi.Result, _ bool) { status = res.Status }
	if err := r.rehearse(inst.serve); err != nil {
		return err
	}
	r.deliver(false)
	if err := r.verdict(); err != nil {
		return err
	}
	if status >= 500 {
		return &function.Error{Kind: abi.GuestError, Op: "run " + img.settings.Name, Err: fmt.Errorf("answered with status %d", status)}
	}
	return nil
}

// player answers a sample's outbound calls from its recording, each recorded
// call once. Calls may overlap.
type player struct {
	sample *Sample
	log    func(requestID string, rec abi.LogRecord)

	mu      sync.Mutex
	left    []Call
	refused int
}

// maxRefusals bounds the log lines about a sample's calls: a guest may make any
// number of them.
const maxRefusals = 16

func (p *player) play(_ context.Context, req *abi.HTTPRequest) (abi.HTTPHead, io.ReadCloser) {
	method := cmp.Or(req.Method, "GET")
	c, refusals := p.take(method, req.URL)
	if refusals == 0 {
		return abi.HTTPHead{Status: c.Status, Headers: c.Headers}, io.NopCloser(bytes.NewReader(c.Body))
	}
	refusal := fmt.Sprintf("%.20s %.1000s has no answer left in %s; add one", method, req.URL, p.sample.Recording)
	if refusals <= maxRefusals {
		p.log("", abi.LogRecord{Level: 4, Message: "warm-up with " + p.sample.Name + ": " + refusal})
	}
	return abi.HTTPHead{Kind: abi.Denied, Message: refusal}, nil
}

// take returns the first answer that is left for a call, or, where there is none,
// how many calls were refused so far, this one included.
func (p *player) take(method, url string) (c Call, refusals int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.left {
		if c.Method == method && c.URL == url {
			p.left = slices.Delete(p.left, i, i+1)
			return c, 0
		}
	}
	p.refused++
	return Call{}, p.refused
}
