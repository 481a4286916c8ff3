package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The picture's measures, in pixels, and the ranges of its axes.
const (
	width, height      = 760, 430
	left, right        = 64, 736
	top, bottom        = 66, 376
	maxLatitude        = 80 // the table ends at 78.2
	maxSeconds         = 120
	roundingOfTheTable = 30 // seconds: published times are whole minutes
	beside             = 5  // pixels between two sources of one latitude
)

func x(latitude float64) float64 { return left + latitude/maxLatitude*(right-left) }

func y(seconds float64) float64 {
	return (top+bottom)/2 - seconds/maxSeconds*(bottom-top)/2
}

// draw returns the SVG: error over latitude.
func draw(dots []dot) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" font-weight="bold">Computed minus published time of %d sun events</text>`+"\n", left, len(dots))
	axes(&b)
	for _, d := range dots {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s" fill-opacity="0.7"><title>%s</title></circle>`+"\n",
			x(d.latitude)+beside*(float64(d.group)-1.5), y(d.seconds), groups[d.group].colour, html.EscapeString(d.title))
	}
	legend(&b, dots)
	b.WriteString("</svg>\n")
	return b.String()
}

func axes(b *strings.Builder) {
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="#e4e4e4"/>`+"\n",
		left, y(roundingOfTheTable), right-left, y(-roundingOfTheTable)-y(roundingOfTheTable))
	for s := -maxSeconds; s <= maxSeconds; s += 30 {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`+"\n",
			left, right, y(float64(s)), y(float64(s)), lineColour(s), left-8, y(float64(s))+4, s)
	}
	for l := 0; l <= maxLatitude; l += 10 {
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%d°</text>`+"\n",
			x(float64(l)), x(float64(l)), bottom, bottom+5, x(float64(l)), bottom+19, l)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">latitude, north or south</text>`+"\n", (left+right)/2, bottom+40)
	fmt.Fprintf(b, `<text x="18" y="%d" text-anchor="middle" transform="rotate(-90 18 %d)">error in seconds</text>`+"\n", (top+bottom)/2, (top+bottom)/2)
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#777">grey: what rounding to minutes leaves open, ±%d s</text>`+"\n", right-8, y(-maxSeconds)-8, roundingOfTheTable)
}

func lineColour(seconds int) string {
	if seconds == 0 {
		return "#555"
	}
	return "#d0d0d0"
}

// legend names the groups, with the number of their events and the median and
// the largest of their errors.
func legend(b *strings.Builder, dots []dot) {
	const column = (right - left) / len(groups)
	for i, g := range groups {
		var off []float64
		for _, d := range dots {
			if d.group == i {
				off = append(off, math.Abs(d.seconds))
			}
		}
		if len(off) == 0 {
			continue
		}
		slices.Sort(off)
		at := left + i*column
		fmt.Fprintf(b, `<circle cx="%d" cy="41" r="4" fill="%s"/><text x="%d" y="45">%s</text>`, at+4, g.colour, at+14, g.name)
		fmt.Fprintf(b, `<text x="%d" y="59" font-size="11" fill="#777">%d, median %.0f s, worst %.0f s</text>`+"\n",
			at+14, len(off), off[len(off)/2], off[len(off)-1])
	}
}
