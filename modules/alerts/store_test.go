package main

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"spore/guest/kv"
)

// memory is a store with a clock of its own.
type memory struct {
	mu       sync.Mutex
	now      func() time.Time
	keys     map[string]memoryEntry
	revision int64
	maxBytes int                        // 0: no bound
	fail     func(op, key string) error // nil: never
}

type memoryEntry struct {
	value    []byte
	revision int64
	expires  time.Time
}

func (m *memory) get(_ context.Context, key string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail("get", key); err != nil {
			return nil, 0, err
		}
	}
	e, ok := m.keys[key]
	if !ok || !m.now().Before(e.expires) {
		return nil, 0, kv.ErrNotFound
	}
	return e.value, e.revision, nil
}

func (m *memory) put(_ context.Context, key string, value []byte, expiry time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.write("put", key, value, expiry)
}

func (m *memory) write(op, key string, value []byte, expiry time.Duration) error {
	if m.fail != nil {
		if err := m.fail(op, key); err != nil {
			return err
		}
	}
	size := len(key) + len(value)
	for k, e := range m.keys {
		if k != key {
			size += len(k) + len(e.value)
		}
	}
	if m.maxBytes > 0 && size > m.maxBytes {
		_, full := kv.Put(context.Background(), key, make([]byte, 2<<20), 0) // too_large, as a full bucket answers
		return full
	}
	m.revision++
	m.keys[key] = memoryEntry{value, m.revision, m.now().Add(expiry)}
	return nil
}

func (m *memory) update(_ context.Context, key string, value []byte, revision int64, expiry time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.keys[key]
	if !m.now().Before(e.expires) {
		e = memoryEntry{}
	}
	if e.revision != revision {
		return kv.ErrConflict
	}
	return m.write("update", key, value, expiry)
}

func (m *memory) forget(_ context.Context, prefix string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.keys, func(key string, _ memoryEntry) bool { return strings.HasPrefix(key, prefix) })
	return nil
}
