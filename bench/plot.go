package main

import (
	"bytes"
	"fmt"
	"math"
)

// The plot: for every workload a row a variant, a dot at the median and a line to
// the 99th percentile, over a logarithmic axis.

const (
	plotWidth  = 750
	plotLeft   = 172.0 // where the axis begins
	plotRight  = 600.0
	plotTop    = 64.0
	rowHeight  = 26.0
	groupExtra = 34.0 // a group's title
)

// rows are the variants drawn, and what they are called there.
var rows = []struct{ variant, label, colour string }{
	{"native", "native call", "#7a7a7a"},
	{"unisolated", "reused, not isolated", "#3b78b8"},
	{"spore", "spore", "#c8442b"},
	{"wazero", "plain wazero", "#8a6bb8"},
}

var titles = map[string]string{"w1": "W1: a 13-byte answer", "w2": "W2: a 1 KB alert through encoding/json and back"}

// axis maps microseconds to pixels, by whole decades.
type axis struct{ low, high float64 } // exponents of ten

func newAxis(r *results) axis {
	a := axis{math.Inf(1), math.Inf(-1)}
	for _, w := range r.workloads {
		for _, row := range rows {
			s := r.find(w.name + "/" + row.variant)
			a.low = min(a.low, math.Floor(math.Log10(quantile(s.samples, 0.5))))
			a.high = max(a.high, math.Ceil(math.Log10(quantile(s.samples, 0.99))))
		}
	}
	return a
}

func (a axis) at(us float64) float64 {
	return plotLeft + (plotRight-plotLeft)*(math.Log10(us)-a.low)/(a.high-a.low)
}

// plot draws the latencies of the variants that need no network.
func plot(r *results) []byte {
	groupHeight := groupExtra + rowHeight*float64(len(rows))
	bottom := plotTop + groupHeight*float64(len(r.workloads)) + 6
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="#222">`+"\n", plotWidth, bottom+50)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="20" y="28" font-size="16" font-weight="600">Latency of one request</text>`+"\n")
	fmt.Fprintf(&b, `<text x="20" y="47" fill="#666">dot: median, end of the line: 99th percentile</text>`+"\n")
	a := newAxis(r)
	a.words(&b, bottom)
	for i, w := range r.workloads {
		top := plotTop + groupHeight*float64(i)
		fmt.Fprintf(&b, `<text x="20" y="%.1f" font-weight="600">%s</text>`+"\n", top+22, titles[w.name])
		a.grid(&b, top+groupExtra, top+groupHeight)
		for j, row := range rows {
			y := top + groupExtra + rowHeight*(float64(j)+0.5)
			s := r.find(w.name + "/" + row.variant)
			a.row(&b, y, row.label, row.colour, quantile(s.samples, 0.5), quantile(s.samples, 0.99))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// decades calls draw with the position and the duration of every line.
func (a axis) decades(draw func(x, us float64)) {
	for e := a.low; e <= a.high; e++ {
		us := math.Pow(10, e)
		draw(a.at(us), us)
	}
}

func (a axis) grid(b *bytes.Buffer, top, bottom float64) {
	a.decades(func(x, _ float64) {
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="#e4e4e4"/>`+"\n", x, top, bottom)
	})
}

func (a axis) words(b *bytes.Buffer, bottom float64) {
	a.decades(func(x, us float64) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#666">%s</text>`+"\n", x, bottom+17, duration(us))
	})
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#666">time, logarithmic</text>`+"\n", (plotLeft+plotRight)/2, bottom+38)
}

func (a axis) row(b *bytes.Buffer, y float64, label, colour string, p50, p99 float64) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, plotLeft-14, y+4.5, label)
	fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1fm0-5v10" stroke="%s" stroke-width="2" fill="none"/>`, a.at(p50), y, a.at(p99), colour)
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`, a.at(p50), y, colour)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="12" stroke="#fff" stroke-width="4" paint-order="stroke">%s<tspan dx="6" fill="#888">p99 %s</tspan></text>`+"\n", a.at(p99)+9, y+4.5, duration(p50), duration(p99))
}

// duration words microseconds with two significant digits.
func duration(us float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e6, "s"}, {1e3, "ms"}, {1, "µs"}, {1e-3, "ns"}} {
		if us >= u.size*0.9999 {
			return significant(us/u.size) + " " + u.name
		}
	}
	return significant(us*1e3) + " ns"
}

func significant(v float64) string {
	if v < 9.95 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.0f", v)
}
