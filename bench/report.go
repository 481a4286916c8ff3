package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
)

// printText prints the tables for people.
func printText(out io.Writer, r *results) error {
	fmt.Fprintf(out, "%s, %s/%s, %d cores, %d rounds\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), len(r.timed[0].total.rounds))
	for _, part := range []func(io.Writer, *results) error{printTimed, printServed, printPromises} {
		fmt.Fprintln(out)
		if err := part(out, r); err != nil {
			return err
		}
	}
	return nil
}

func printTimed(out io.Writer, r *results) error {
	fmt.Fprintln(out, "a request, in this process, us")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "name\tmin\tmedian\tp99\tsamples\t")
	for _, t := range r.timed {
		printSeries(table, &t.total)
		if t.rest != nil {
			printSeries(table, t.rest)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, w := range r.workloads {
		fuel := overRatio(r.find(w.name+"/instrumented"), r.find(w.name+"/reused"))
		fmt.Fprintf(out, "%s/fuel: instrumented is %.3f of reused (rounds %.3f-%.3f)\n", w.name, quantile(fuel, 0.5), quantile(fuel, 0), quantile(fuel, 1))
	}
	return nil
}

func printSeries(table io.Writer, s *series) {
	fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.3f\t%d\t\n", s.name, quantile(s.samples, 0), quantile(s.samples, 0.5), quantile(s.samples, 0.99), len(s.samples))
}

func printServed(out io.Writer, r *results) error {
	fmt.Fprintf(out, "over HTTP, %d keep-alive connections, medians of the rounds\n", connections)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "name\trequests/s\tp50 us\tp99 us\tlogged\t")
	for _, s := range r.served {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%s\t\n", s.name, quantile(s.rate.rounds, 0.5), quantile(s.p50.rounds, 0.5), quantile(s.p99.rounds, 0.5), logged(s))
	}
	return table.Flush()
}

// logged is the share of requests whose REPORT line was written.
func logged(s *served) string {
	if s.logged == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*s.logged)
}

func printPromises(out io.Writer, r *results) error {
	fmt.Fprintln(out, "promises, judged by the median of the rounds")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\t\tmin\tmedian\tmax\tbound\ttarget\t")
	for _, o := range judge(r) {
		than := "at most"
		if o.atLeast {
			than = "at least"
		}
		target := "-"
		if o.target != 0 {
			target = fmt.Sprintf("%g", o.target)
		}
		fmt.Fprintf(table, "%s\t%s, %s\t%.2f\t%.2f\t%.2f\t%s %g\t%s\t%s\n", o.workload, o.text, o.unit, o.min, o.median, o.max, than, o.bound, target, o.verdict())
	}
	return table.Flush()
}

// measured and promised are the lines of -json.
type measured struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	N      int     `json:"n"`
}

type promised struct {
	Promise string  `json:"promise"`
	Unit    string  `json:"unit"`
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	Max     float64 `json:"max"`
	Rounds  int     `json:"rounds"`
	AtLeast bool    `json:"at_least"`
	Bound   float64 `json:"bound"`
	Target  float64 `json:"target,omitempty"`
	Verdict string  `json:"verdict"`
}

func printJSON(out io.Writer, r *results) error {
	enc := json.NewEncoder(out)
	for _, s := range r.all() {
		if err := enc.Encode(measured{s.name, s.unit, quantile(s.samples, 0), quantile(s.samples, 0.5), quantile(s.samples, 0.99), len(s.samples)}); err != nil {
			return err
		}
	}
	for _, o := range judge(r) {
		line := promised{o.workload + " " + o.text, o.unit, o.min, o.median, o.max, len(r.timed[0].total.rounds), o.atLeast, o.bound, o.target, o.verdict()}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
