package abi

import "encoding/binary"

// Pair is a header, a route parameter or a log attribute.
type Pair struct{ Name, Value string }

// Pairs is an ordered list in which names may repeat.
type Pairs []Pair

// pairOverhead is what one pair costs beside its bytes: two u32 lengths.
const pairOverhead = 8

// Get returns the value of the first pair called name, or "". Names compare
// without regard to ASCII case, as HTTP's do.
func (p Pairs) Get(name string) string {
	for i := range p {
		if equalFold(p[i].Name, name) {
			return p[i].Value
		}
	}
	return ""
}

// Has reports whether a pair called name is there.
func (p Pairs) Has(name string) bool {
	for i := range p {
		if equalFold(p[i].Name, name) {
			return true
		}
	}
	return false
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// pairs decodes a field of pairs: u32 length, name, u32 length, value, again and
// again until the field ends. Where into has room they are put there.
func (r *frameReader) pairs(data []byte, into Pairs) Pairs {
	n, ok := countPairs(data)
	switch {
	case !ok || n > MaxPairs:
		r.err = ErrPairs
		return nil
	case n == 0:
		r.err = ErrZeroField
		return nil
	}
	pairs := into[:0]
	if cap(pairs) < n {
		pairs = make(Pairs, 0, n)
	}
	for len(data) > 0 {
		end := 4 + int(binary.LittleEndian.Uint32(data))
		name := borrowString(data[4:end])
		data = data[end:]
		end = 4 + int(binary.LittleEndian.Uint32(data))
		pairs = append(pairs, Pair{name, borrowString(data[4:end])})
		data = data[end:]
	}
	return pairs
}

// countPairs counts what is in data.
func countPairs(data []byte) (n int, ok bool) {
	n, ok = countStrings(data)
	return n / 2, ok && n%2 == 0
}

// countStrings walks data without allocating, so that a length a guest made up
// never decides the size of an allocation.
func countStrings(data []byte) (n int, ok bool) {
	for ; ; n++ {
		if len(data) == 0 {
			return n, true
		}
		if len(data) < 4 {
			return 0, false
		}
		size := uint64(binary.LittleEndian.Uint32(data))
		if size > uint64(len(data)-4) {
			return 0, false
		}
		data = data[4+size:]
	}
}
