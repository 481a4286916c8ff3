// Package registry keeps which versions of each function were published and
// which one is live. A version's identity is the digest of everything it is made
// of; its number counts up within this process. The registry is in memory: after
// a restart numbers begin at 1 again.
package registry

import (
	"fmt"
	"sync"
	"time"

	"spore/abi"
	"spore/host/function"
)

// Version is one published version of a function.
type Version struct {
	Number    int // from 1
	Digest    string
	Published time.Time
}

// Registry is safe for concurrent use. The zero value is empty and ready.
type Registry struct {
	mu        sync.Mutex
	functions map[string]*history
}

type history struct {
	versions []Version
	live     int // number; 0 means none
}

// Publish records a version and returns it. A digest that was published before
// keeps its number, and fresh is false. It changes nothing about what is live.
func (r *Registry) Publish(name, digest string, now time.Time) (v Version, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.functions == nil {
		r.functions = map[string]*history{}
	}
	h := r.functions[name]
	if h == nil {
		h = &history{}
		r.functions[name] = h
	}
	for _, v := range h.versions {
		if v.Digest == digest {
			return v, false
		}
	}
	v = Version{Number: len(h.versions) + 1, Digest: digest, Published: now}
	h.versions = append(h.versions, v)
	return v, true
}

// SetLive points the function's live version at number.
func (r *Registry) SetLive(name string, number int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.functions[name]
	if h == nil || number < 1 || number > len(h.versions) {
		return &function.Error{Kind: abi.NotFound, Op: fmt.Sprintf("make %s@%d live", name, number)}
	}
	h.live = number
	return nil
}

// Live returns the function's live version.
func (r *Registry) Live(name string) (Version, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.functions[name]
	if h == nil || h.live == 0 {
		return Version{}, false
	}
	return h.versions[h.live-1], true
}

// Remove takes the live pointer of a function away; its versions stay known.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.functions[name]; h != nil {
		h.live = 0
	}
}
