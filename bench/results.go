package main

import (
	"math"
	"slices"
)

// results is what a run has measured.
type results struct {
	workloads []workload
	timed     []*timed
	served    []*served
}

// series is what was measured under one name.
type series struct {
	name, unit string
	samples    []float64 // of all rounds
	rounds     []float64 // each round's median
}

// add takes the samples of one round.
func (s *series) add(round []float64) {
	s.samples = append(s.samples, round...)
	s.rounds = append(s.rounds, quantile(round, 0.5))
}

// quantile returns the value below which a share q of the values lie, between two
// values in proportion.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	whole, part := math.Modf(q * float64(len(sorted)-1))
	i := int(whole)
	if part == 0 {
		return sorted[i]
	}
	return sorted[i] + part*(sorted[i+1]-sorted[i])
}

// overRatio returns one figure a round: a's over b's. Neighbours in time are
// compared, so that a machine's drift cancels out.
func overRatio(a, b *series) []float64 {
	ratios := make([]float64, len(a.rounds))
	for i := range ratios {
		ratios[i] = a.rounds[i] / b.rounds[i]
	}
	return ratios
}

// all returns every series, in the order of the tables.
func (r *results) all() []*series {
	var list []*series
	for _, t := range r.timed {
		list = append(list, &t.total)
		if t.rest != nil {
			list = append(list, t.rest)
		}
	}
	for _, s := range r.served {
		list = append(list, &s.rate, &s.p50, &s.p99)
	}
	return list
}

// find returns the series of that name, which must have been measured.
func (r *results) find(name string) *series {
	for _, s := range r.all() {
		if s.name == name {
			return s
		}
	}
	panic("bench: internal error: " + name + " was not measured")
}
