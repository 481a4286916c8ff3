package wasmbin

import "slices"

const (
	// lightMax is the most a function may weigh that is not charged at its entry.
	// It is also what a call through the table counts, as nobody knows whom it
	// calls, so that a function with such a call is always heavy. On JSON work 100
	// to 1000 were equally fast.
	lightMax = 100
	// callsMax is the most the light callees of one function may weigh
	// together. Beyond it they are charged themselves, because all they do
	// would otherwise lie between two checks of a function of 100,000 calls.
	callsMax = 100_000
)

// weigh decides for every function who pays for it. A light function is paid for
// by its callers: it weighs little with all it calls, and is on no cycle of direct
// calls. All others are heavy and charged their weight at their entry. Every
// recursion passes one, and so does every tree of calls that is not small.
func weigh(profiles []profile) {
	components(profiles, func(members []uint32) {
		for _, i := range members {
			p := &profiles[i]
			p.heavy = len(members) > 1 || slices.Contains(p.calls, i)
		}
		for _, i := range members {
			profiles[i].addCallees(profiles)
		}
	})
}

// addCallees completes the weight of p. The functions it calls have been weighed,
// or are on a cycle with it and known to be heavy.
func (p *profile) addCallees(profiles []profile) {
	var light int64
	p.deep = p.table
	for _, c := range p.calls {
		callee := &profiles[c]
		p.deep = p.deep || callee.heavy || callee.deep
		if !callee.heavy {
			light += callee.weight
		}
	}
	if light > callsMax {
		light = 0
		for _, c := range p.calls {
			profiles[c].heavy = true
		}
	}
	p.weight += light
	p.heavy = p.heavy || p.weight > lightMax
}

// components hands the strongly connected components of the call graph to visit,
// callees before their callers. It is Tarjan's algorithm with a stack of its own,
// because a hostile module chooses how deep the graph is.
func components(profiles []profile, visit func(members []uint32)) {
	t := &tarjan{profiles: profiles, visit: visit, number: make([]uint32, len(profiles)), low: make([]uint32, len(profiles))}
	for i := range profiles {
		if t.number[i] == 0 {
			t.search(uint32(i))
		}
	}
}

const closed = 1<<32 - 1 // the number of a function whose component is complete

type tarjan struct {
	profiles []profile
	visit    func(members []uint32)
	number   []uint32 // in order of discovery, from 1
	low      []uint32 // lowest number that is reached
	count    uint32
	open     []uint32  // discovered, component not complete
	path     []visited // the search's way to where it is
}

// visited is a function on the path, and how many of its calls were followed.
type visited struct {
	function uint32
	followed int
}

func (t *tarjan) search(root uint32) {
	t.enter(root)
	for len(t.path) > 0 {
		s := &t.path[len(t.path)-1]
		f, calls := s.function, t.profiles[s.function].calls
		if s.followed == len(calls) {
			t.leave(f)
			continue
		}
		callee := calls[s.followed]
		s.followed++
		switch n := t.number[callee]; n {
		case 0:
			t.enter(callee)
		case closed:
		default:
			t.low[f] = min(t.low[f], n)
		}
	}
}

func (t *tarjan) enter(f uint32) {
	t.count++
	t.number[f], t.low[f] = t.count, t.count
	t.open = append(t.open, f)
	t.path = append(t.path, visited{f, 0})
}

func (t *tarjan) leave(f uint32) {
	t.path = t.path[:len(t.path)-1]
	if len(t.path) > 0 {
		caller := t.path[len(t.path)-1].function
		t.low[caller] = min(t.low[caller], t.low[f])
	}
	if t.low[f] != t.number[f] {
		return
	}
	first := len(t.open) - 1
	for t.open[first] != f {
		first--
	}
	for _, m := range t.open[first:] {
		t.number[m] = closed
	}
	t.visit(t.open[first:])
	t.open = t.open[:first]
}
