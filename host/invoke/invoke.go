// Package invoke takes events to functions. A Dispatcher holds the table of live
// versions, admits an event or refuses it at once, sets its deadlines and runs it
// in a sandbox of its own. Tables are replaced whole while events go on: an event
// runs to its end on the version it began with.
package invoke

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"spore/abi"
	"spore/host/function"
	"spore/host/sandbox"
)

// Live is one function as the Dispatcher serves it.
type Live struct {
	Ref    function.Ref
	Image  *sandbox.Image
	Limits function.Limits
}

// Options of a Dispatcher.
type Options struct {
	// Concurrency is the most sandboxes at once, of all functions together.
	Concurrency int
	// Now is the wall clock the deadlines in events are told in; nil means
	// time.Now. The deadlines themselves do not depend on it.
	Now func() time.Time
}

// Dispatcher implements function.Invoker. It owns the images it was given.
type Dispatcher struct {
	opt     Options
	running atomic.Int64
	table   atomic.Pointer[map[string]*entry]

	mu sync.Mutex // serialises Replace and Close
}

type entry struct {
	Live
	version string
	running atomic.Int64
}

// New returns a Dispatcher with an empty table.
func New(opt Options) *Dispatcher {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	d := &Dispatcher{opt: opt}
	d.table.Store(&map[string]*entry{})
	return d
}

// Replace makes functions the table of live versions and closes the images that
// are no longer in it. Events that began before end on their own version.
func (d *Dispatcher) Replace(functions []Live) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := *d.table.Load()
	table := make(map[string]*entry, len(functions))
	for _, f := range functions {
		e := &entry{Live: f, version: strconv.Itoa(f.Ref.Version)}
		if was := old[f.Ref.Name]; was != nil && was.Live == f {
			e = was
		}
		table[f.Ref.Name] = e
	}
	d.table.Store(&table)
	for name, was := range old {
		if now := table[name]; now == nil || now.Image != was.Image {
			was.Image.Close()
		}
	}
}

// Touch marks the files of all live versions as used today.
func (d *Dispatcher) Touch() {
	for _, e := range *d.table.Load() {
		e.Image.Touch()
	}
}

// Close empties the table. Events under way go on to their end.
func (d *Dispatcher) Close() { d.Replace(nil) }

// Invoke implements function.Invoker. It fills the event's function, version and
// deadlines.
func (d *Dispatcher) Invoke(ctx context.Context, ref function.Ref, ev *abi.Event, reply function.Reply) (function.Stats, error) {
	start := time.Now()
	if d.running.Add(1) > int64(d.opt.Concurrency) {
		d.running.Add(-1)
		return function.Stats{Ref: ref}, &function.Error{Kind: abi.Overloaded, Op: "invoke " + ref.Name,
			Err: fmt.Errorf("all %d sandboxes of this host are in use", d.opt.Concurrency)}
	}
	defer d.running.Add(-1)
	e, sb, err := d.open(ctx, ref, start)
	if err != nil {
		return function.Stats{Ref: ref}, err
	}
	defer e.running.Add(-1)
	defer sb.Close()
	now := d.opt.Now()
	ev.Function, ev.Version = e.Ref.Name, e.version
	ev.DeadlineMS = now.Add(e.Limits.Timeout).UnixMilli()
	ev.ResponseDeadlineMS = now.Add(e.Limits.ResponseTimeout).UnixMilli()
	deadlines := sandbox.Deadlines{Response: start.Add(e.Limits.ResponseTimeout), End: start.Add(e.Limits.Timeout)}
	stats, err := sb.Serve(ctx, ev, deadlines, reply)
	stats.Ref = e.Ref
	return stats, err
}

// open admits one event, which came at start, to the live version of ref and opens its
// sandbox. The version may be replaced between looking it up and opening it; then the new
// table is asked.
func (d *Dispatcher) open(ctx context.Context, ref function.Ref, start time.Time) (*entry, *sandbox.Sandbox, error) {
	for {
		table := d.table.Load()
		e := (*table)[ref.Name]
		if e == nil || ref.Version != 0 && ref.Version != e.Ref.Version {
			return nil, nil, &function.Error{Kind: abi.NotFound, Op: "invoke " + ref.Name, Err: fmt.Errorf("no such function or version is live")}
		}
		if e.running.Add(1) > int64(e.Limits.Concurrency) {
			e.running.Add(-1)
			return nil, nil, &function.Error{Kind: abi.Overloaded, Op: "invoke " + ref.Name, Err: &function.ConcurrencyError{Limit: e.Limits.Concurrency}}
		}
		sb, err := e.open(ctx, start)
		if err == nil {
			return e, sb, nil
		}
		e.running.Add(-1)
		if function.KindOf(err) != abi.NotReady || d.table.Load() == table {
			return nil, nil, err
		}
	}
}

// open opens a sandbox. Where the image is at rest that waits for it, and not beyond the
// time for the answer to an event that came at start.
func (e *entry) open(ctx context.Context, start time.Time) (*sandbox.Sandbox, error) {
	if !e.Image.Resident() { // otherwise there is no wait, and no use of a timer
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, start.Add(e.Limits.ResponseTimeout))
		defer cancel()
	}
	return e.Image.Open(ctx)
}
