package main

// promise is a bound the project has set itself, and how it is told whether it
// holds.
type promise struct {
	workload string
	text     string
	unit     string  // "us", or "x" for a ratio
	atLeast  bool    // bound and target are to be reached; otherwise not to be exceeded
	bound    float64 // judged by
	target   float64 // aimed at; 0 when that is the bound

	figures func(*results) []float64 // one a round
}

func promises() []promise {
	return []promise{
		{"w1", "sandbox overhead", "us", false, 3, 1, rounds("w1/overhead")},
		{"w2", "sandbox overhead", "us", false, 6, 3, rounds("w2/overhead")},
		{"w2", "fuel: instrumented / unchanged module", "x", false, 1.08, 0, ratio("w2/instrumented", "w2/reused")},
		{"w1", "HTTP throughput: spore / native fasthttp", "x", true, 0.70, 0.85, ratio("w1/http/spore/rate", "w1/http/native/rate")},
		{"w1", "HTTP p99: spore / native fasthttp", "x", false, 1.5, 0, ratio("w1/http/spore/p99", "w1/http/native/p99")},
		{"w2", "HTTP throughput: spore / unisolated", "x", true, 0.95, 0, ratio("w2/http/spore/rate", "w2/http/unisolated/rate")},
		{"w2", "HTTP p99: spore / unisolated", "x", false, 1, 0, ratio("w2/http/spore/p99", "w2/http/unisolated/p99")},
	}
}

func rounds(name string) func(*results) []float64 {
	return func(r *results) []float64 { return r.find(name).rounds }
}

func ratio(over, under string) func(*results) []float64 {
	return func(r *results) []float64 { return overRatio(r.find(over), r.find(under)) }
}

// outcome is what a run says about a promise.
type outcome struct {
	promise
	min, median, max float64 // of the rounds
	holds            bool    // by the median
}

// judge returns the outcomes of the promises about the workloads that ran.
func judge(r *results) []outcome {
	var list []outcome
	for _, w := range r.workloads {
		for _, p := range promises() {
			if p.workload == w.name {
				list = append(list, judgeOne(p, r))
			}
		}
	}
	return list
}

func judgeOne(p promise, r *results) outcome {
	f := p.figures(r)
	o := outcome{promise: p, min: quantile(f, 0), median: quantile(f, 0.5), max: quantile(f, 1)}
	if p.atLeast {
		o.holds = o.median >= p.bound
	} else {
		o.holds = o.median <= p.bound
	}
	return o
}

func (o *outcome) verdict() string {
	if o.holds {
		return "holds"
	}
	return "misses"
}
