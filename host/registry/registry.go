// Package registry numbers the versions of functions. A version's identity is the
// digest of everything it is made of; its number counts up within this process. The
// registry is in memory: after a restart numbers begin at 1 again. Which version is
// live is the dispatcher's to know.
package registry

import (
	"slices"
	"sync"
)

// Registry is safe for concurrent use. The zero value is empty and ready.
type Registry struct {
	mu      sync.Mutex
	digests map[string][]string // of each function's versions, 1 first
}

// Publish returns the number of the version with that digest, which is the next one
// for a digest that was not published before.
func (r *Registry) Publish(name, digest string) (version int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.digests[name], digest); i >= 0 {
		return i + 1
	}
	if r.digests == nil {
		r.digests = map[string][]string{}
	}
	r.digests[name] = append(r.digests[name], digest)
	return len(r.digests[name])
}
