package sandbox

import "bytes"

// grain is the unit in bytes in which a snapshot's zeros are told from the rest of it.
const grain = pageSize / 64

// minZeros is the fewest bytes of zeros that are cleared apart: a stretch more costs as
// much as to copy that many. Most of what a request changes is heap that was free: of the
// 108 KB that one of bench/w2 changes, 70 are such zeros.
const minZeros = 8 * grain

// zeros says for each page of a snapshot which of its grains hold nothing but zeros: bit
// i is the i-th.
type zeros []uint64

// allZero is a page without anything else.
const allZero = 1<<(pageSize/grain) - 1

var zeroGrain [grain]byte

func findZeros(memory []byte) zeros {
	z := make(zeros, len(memory)/pageSize)
	for at := 0; at < len(memory); at += grain {
		if bytes.Equal(memory[at:at+grain], zeroGrain[:]) {
			z[at/pageSize] |= 1 << (at % pageSize / grain)
		}
	}
	return z
}

// at reports whether the grain that begins at an offset is zero.
func (z zeros) at(offset uint64) bool {
	return z[offset/pageSize]>>(offset%pageSize/grain)&1 == 1
}

// split appends s to list, cut where minZeros or more zeros begin and end.
func (z zeros) split(list []stretch, s span) []stretch {
	first := len(list)
	for at := s.start; at < s.end; {
		zero, end := z.at(at), at+grain
		for end < s.end && z.at(end) == zero {
			end += grain
		}
		zero = zero && end-at >= minZeros
		if last := len(list) - 1; last >= first && list[last].zero == zero {
			list[last].end = end
		} else {
			list = append(list, stretch{span{at, end}, zero})
		}
		at = end
	}
	return list
}
