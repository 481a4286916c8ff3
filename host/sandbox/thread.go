package sandbox

import (
	"runtime"
	"time"
)

// thread follows a run over the threads it is executed on.
//
// It is what the sparing of a look at the page tables rests on. A page of the
// snapshot becomes an instance's own only through a page fault of the thread that
// writes it, and only the run's goroutine writes guest memory: the guest itself,
// and the host functions it calls; no view of it is handed out, and none is given
// to a system call. So if the goroutine has been locked to one thread from a first
// reading of that thread's count of faults to a second, and both are the same, no
// page has changed that was not changed before. A fault for another reason costs a
// look that was not needed. Wherever the goroutine is let go of its thread, look
// is set, whatever the readings say.
type thread struct {
	start usage // when the goroutine was locked to the thread it is on
	since int64 // the same, on the engine's clock

	look bool          // pages may have changed for the first time
	cpu  time.Duration // of the stretches that have ended
}

// pin waits for a core and locks the goroutine to its thread.
func (r *run) pin() {
	r.img.engine.cores <- struct{}{}
	runtime.LockOSThread()
	r.thread.since = r.img.engine.elapsed()
	r.thread.start = threadUsage()
}

// pause gives core and thread back for a while. Until the next pin the run does
// not touch guest memory.
func (r *run) pause() {
	r.thread.stop()
	r.thread.look = true
	r.unpin()
}

func (r *run) unpin() {
	runtime.UnlockOSThread()
	<-r.img.engine.cores
}

// stop ends a stretch: it takes the second reading.
func (t *thread) stop() {
	end := threadUsage()
	t.cpu += end.cpu - t.start.cpu
	t.look = t.look || end.faults != t.start.faults
}
