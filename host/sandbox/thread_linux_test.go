package sandbox

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoThreadIsTakenForAnother: a run relies on what a thread's faults were before, so
// the thread must be the same one. Threads end with the goroutine that is locked to them;
// the kernel and the collector may then use what was theirs for others.
func TestNoThreadIsTakenForAnother(t *testing.T) {
	seen := map[threadID]bool{}
	next := make(chan threadID)
	for i := range 300 {
		go func() {
			runtime.LockOSThread() // and never unlocked
			id := thisThread()
			runtime.Gosched()
			if thisThread() != id {
				id = nil
			}
			next <- id
		}()
		id := <-next
		require.NotNil(t, id, "a thread keeps its name")
		require.False(t, seen[id], "thread %d has the name of one before", i)
		seen[id] = true
		if i%10 == 0 {
			runtime.GC()
		}
	}
}

// TestAFaultOnTheThreadCostsALook: in the run, and as well between the run before and
// this one, because there is one reading for both.
func TestAFaultOnTheThreadCostsALook(t *testing.T) {
	if !probeCounts() {
		t.Skip("page faults are not counted by thread on this machine")
	}
	const pages = 64
	_, m := memoryOf(t, pages)
	page := 0
	fault := func() {
		m.bytes()[page*pageSize] ^= 1
		page++
	}
	e := &Engine{start: time.Now()}
	e.cores = newCores(1, e.elapsed)
	looked := func(between, within func()) bool {
		runtime.LockOSThread() // so that all is on one thread
		defer runtime.UnlockOSThread()
		for range 10 { // until the thread has stopped faulting for reasons of its own
			r := &run{inst: new(instance), img: &Image{engine: e}}
			r.pin()
			r.endStretch()
			r.unpin()
			if !r.thread.look {
				break
			}
		}
		between()
		r := &run{inst: new(instance), img: &Image{engine: e}}
		r.pin()
		defer r.unpin()
		within()
		r.endStretch()
		return r.thread.look
	}
	nothing := func() {}
	spared := 0
	for range pages / 2 {
		require.True(t, looked(nothing, fault))
		require.True(t, looked(fault, nothing))
		if !looked(nothing, nothing) {
			spared++
		}
	}
	require.NotZero(t, spared)
}

// TestTheCountGoesWithTheThread: an instance remembers the count of the thread that
// executed it last, and must not use that on another.
func TestTheCountGoesWithTheThread(t *testing.T) {
	e := &Engine{start: time.Now()}
	var last seenThread
	counts := make(chan *faultCount)
	var seen []*faultCount
	for range 3 {
		go func() {
			runtime.LockOSThread() // and never unlocked: the next one is on another thread
			first := e.faultCount(&last)
			again := e.faultCount(&last)
			elsewhere := e.faultCount(new(seenThread))
			if first != again || first != elsewhere {
				first = nil
			}
			counts <- first
		}()
		count := <-counts
		require.NotNil(t, count)
		require.False(t, slices.Contains(seen, count))
		seen = append(seen, count)
	}
}
