package sandbox

import "fmt"

// Method is a way of putting the memory of an instance that has served back at
// the snapshot.
type Method int

// The methods, best first. Auto takes the first one that works on this machine,
// which is tried when the engine is opened.
const (
	Auto    Method = iota
	Scan           // the kernel names the changed pages: ioctl PAGEMAP_SCAN, Linux 6.7 and later
	Pagemap        // the same is read from /proc/self/pagemap
	Discard        // the changed pages are dropped unseen, and fault in again: madvise
	Copy           // the whole snapshot is copied, whatever changed
)

var methodNames = [...]string{"auto", "scan", "pagemap", "discard", "copy"}

func (m Method) String() string {
	if m < 0 || int(m) >= len(methodNames) {
		return fmt.Sprintf("Method(%d)", int(m))
	}
	return methodNames[m]
}

// tracking is how an engine restores memory: the method, and whether a thread's
// count of page faults may stand in for looking.
type tracking struct {
	method Method
	counts bool
}

// choose returns how this machine restores memory. Every way is tried on a small
// mapping before it is relied on, because containers and emulated kernels have
// calls that answer without doing what they say.
func choose(want Method) (tracking, error) {
	candidates := []Method{Scan, Pagemap, Discard, Copy}
	if want != Auto {
		candidates = []Method{want}
	}
	for _, m := range candidates {
		if probe(m) {
			return tracking{m, m <= Pagemap && probeCounts()}, nil
		}
	}
	return tracking{}, fmt.Errorf("restoring by %v does not work on this machine", want)
}

// probePages is the size of the probe's mapping.
const probePages = 8

// probe reports whether m finds out and undoes a change.
func probe(m Method) bool {
	image := make([]byte, probePages*pageSize)
	for i := range image {
		image[i] = byte(i/pageSize + 1)
	}
	b, err := newBacking(image)
	if err != nil {
		return false
	}
	defer b.close()
	mem := &linearMemory{limit: uint64(len(image))}
	if mem.mapping, err = newMapping(mem.limit, b); err != nil {
		return false
	}
	defer mem.Free()
	view := mem.bytes()
	view[2*pageSize+7], view[7*pageSize] = view[5*pageSize], 0xbb // page 5 is read only, and stays the image's
	pages, ok := mem.restore(b, m, true)
	exact := m > Pagemap || pages == 2
	return ok && exact && string(view) == string(image)
}
