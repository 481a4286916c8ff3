package sandbox

import "sync"

// maxIdle is how many restored instances an image keeps for the next events, and
// maxIdleBytes what they may take together, unless it is one. More than that many at once
// are rare, and one of a Go function takes half a mebibyte. Those of a function with
// 200,000 entries in its table took 267 MiB.
const (
	maxIdle      = 32
	maxIdleBytes = 32 << 20
)

// idle holds the instances of an image that stand at the snapshot, the one used
// last on top, because its pages are warm.
type idle struct {
	mu        sync.Mutex
	instances []*instance
	bytes     int // that these take
	fewest    int // that were in it since the last trim: so many were not needed
	closed    bool
}

// take returns an instance, or nil when there is none.
func (p *idle) take() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.instances)
	if n == 0 {
		return nil
	}
	inst := p.instances[n-1]
	p.instances = p.instances[:n-1]
	p.bytes -= inst.takes
	p.fewest = min(p.fewest, n-1)
	return inst
}

// put keeps an instance for the next event; false when there is no room.
func (p *idle) put(inst *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.instances)
	if p.closed || n == maxIdle || n > 0 && p.bytes+inst.takes > maxIdleBytes {
		return false
	}
	p.instances = append(p.instances, inst)
	p.bytes += inst.takes
	return true
}

// trim takes out the instances that nobody needed since the last trim, for the caller
// to close.
func (p *idle) trim() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	unused := p.instances[:p.fewest]
	p.instances = append([]*instance(nil), p.instances[p.fewest:]...)
	p.fewest = len(p.instances)
	for _, inst := range unused {
		p.bytes -= inst.takes
	}
	return unused
}

// close takes out what is kept, for the caller to close, and keeps no more.
func (p *idle) close() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	unused := p.instances
	p.instances, p.fewest = nil, 0
	return unused
}
