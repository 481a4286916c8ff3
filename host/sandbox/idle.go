package sandbox

import "sync"

// maxIdle is how many restored instances an image keeps for the next events. More
// than that many at once are rare, and an instance costs its changed pages.
const maxIdle = 32

// idle holds the instances of an image that stand at the snapshot, the one used
// last on top, because its pages are warm.
type idle struct {
	mu        sync.Mutex
	instances []*instance
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
	p.fewest = min(p.fewest, n-1)
	return inst
}

// put keeps an instance for the next event; false when there is no room.
func (p *idle) put(inst *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.instances) == maxIdle {
		return false
	}
	p.instances = append(p.instances, inst)
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
