package sandbox

import (
	"runtime"
	"sync/atomic"
)

// thread follows a run over the threads it is executed on.
//
// It is what the sparing of a look at the page tables rests on. A page of the
// snapshot becomes an instance's own only through a page fault of the thread that
// writes it, and only the run's goroutine writes guest memory: the guest itself,
// and the host functions it calls; no view of it is handed out, and none is given
// to a system call. So if the goroutine has been locked to one thread, and that
// thread's count of faults is at the end what it was at any time before the
// beginning, no page has changed that was not changed before. That time is the end of
// the last run on the same thread, which spares a reading. A fault for another reason
// costs a look that was not needed. Wherever the goroutine is let go of its thread,
// look is set, whatever the readings say.
type thread struct {
	since  int64       // when the goroutine was locked to the thread it is on, on the engine's clock
	count  *faultCount // of that thread
	faults int64       // what it was before
	clock  int64       // the thread's processor time then, in nanoseconds; 0 in the first stretch

	look    bool  // pages may have changed for the first time
	resumed bool  // this is not the first stretch
	gaveWay bool  // to other threads that wake: it has longSlice
	cpu     int64 // nanoseconds of processor time in the stretches that have ended
	later   int64 // the part of cpu that belongs to stretches after the first
}

// pin waits for a core and locks the goroutine to its thread.
func (r *run) pin() {
	r.img.engine.cores.take(r.line(), &r.img.cores, r.deadline())
	runtime.LockOSThread()
	if r.line() == long {
		r.giveWay()
	}
	r.thread.count = r.img.engine.faultCount(&r.inst.thread)
	r.thread.faults = r.thread.count.Load()
	r.thread.since = r.img.engine.elapsed()
}

// faultCount is the last reading of a thread's count of page faults. It is used by that
// thread alone.
type faultCount struct{ atomic.Int64 }

// seenThread remembers a thread, so that the count of the one that executes the same
// instance again need not be looked up.
type seenThread struct {
	id    threadID
	count *faultCount
}

// faultCount returns the count of the thread that the goroutine is locked to.
func (e *Engine) faultCount(last *seenThread) *faultCount {
	id := thisThread()
	if last.count != nil && last.id == id {
		return last.count
	}
	count, known := e.threads.Load(id)
	if !known {
		count = new(faultCount)
		count.(*faultCount).Store(threadFaults())
		e.threads.Store(id, count)
	}
	*last = seenThread{id, count.(*faultCount)}
	return last.count
}

// line is where the run waits for a core. A run is taken for a long one until it is
// over when the function's last one was: fifty that begin at once would have all cores
// until that is known of each.
func (r *run) line() int {
	if r.isLong() || r.img.long.Load() {
		return long
	}
	return short
}

// isLong reports whether the run has had a quantum. Its first stretch does not count:
// it is known by the wall's clock only, and an event that the kernel kept waiting must
// not stand behind fifty that never end.
func (r *run) isLong() bool { return r.thread.later > quantum }

// over notes for later runs how long this one was.
func (r *run) over() {
	if r.isLong() != r.img.long.Load() {
		r.img.long.Store(r.isLong())
	}
	if !r.isLong() {
		r.img.engine.cores.lately.Store(r.ended)
	}
}

// Chore does work of the host's that takes a core for long, on one that is not kept
// for short runs, and lets other threads that wake go first. The work must not wait
// for anything. Chores may overlap.
func (e *Engine) Chore(work func()) {
	e.cores.take(chore, &e.cores.host, never)
	defer e.cores.give(&e.cores.host)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setSlice(longSlice)
	defer setSlice(0)
	work()
}

// pause gives core and thread back for a while. Until it is resumed the run does
// not touch guest memory.
func (r *run) pause() {
	r.endStretch()
	r.thread.look = true
	r.unpin()
}

// resume ends a pause. The thread's own clock tells more than the wall's when
// other processes want the core too, and costs too much for an event that is over
// within its first stretch, which is a millisecond at most.
func (r *run) resume() {
	r.pin()
	r.thread.resumed = true
	r.thread.clock = threadClock()
}

// giveWay lets threads that wake go before the run's own, until it is unpinned.
func (r *run) giveWay() {
	if !r.thread.gaveWay {
		r.thread.gaveWay = true
		setSlice(longSlice)
	}
}

func (r *run) unpin() {
	if r.thread.gaveWay {
		r.thread.gaveWay = false
		setSlice(0)
	}
	runtime.UnlockOSThread()
	r.img.engine.cores.give(&r.img.cores)
}

// endStretch takes the readings at the end of a stretch, and returns the time.
func (r *run) endStretch() int64 {
	t := &r.thread
	now := r.img.engine.elapsed()
	faults := threadFaults()
	t.count.Store(faults)
	t.look = t.look || faults != t.faults
	ran := now - t.since
	if t.clock != 0 {
		ran = threadClock() - t.clock
	}
	t.cpu += ran
	if t.resumed {
		t.later += ran
	}
	return now
}
