// Plot draws how far package sun is from published tables: the error of every
// event of the reference table over its latitude, as an SVG on standard output.
//
//	go run ./modules/alerts/sun/plot > modules/alerts/sun/accuracy.svg
//
// An argument names another table; its columns are those of sun_events.csv.
package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"spore/modules/alerts/sun"
)

func main() {
	table := "modules/alerts/testdata/sun_events.csv"
	if len(os.Args) > 1 {
		table = os.Args[1]
	}
	if err := run(table, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err, "(run it at the root of the repository, or name the table)")
		os.Exit(1)
	}
}

func run(table string, out io.Writer) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	dots, err := measure(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	_, err = io.WriteString(out, draw(dots))
	return err
}

// dot is one published event with a time.
type dot struct {
	group    int     // index into groups
	latitude float64 // degrees, without its sign
	seconds  float64 // computed minus published
	title    string
}

// source is where a row comes from: how its last column begins, and its colour.
type source struct{ name, begins, colour string }

// groups are told apart by the brightness of their colours too.
var groups = [...]source{
	{"USNO", "USNO", "#1f3f8f"},
	{"timeanddate.com", "timeanddate.com", "#4a9a6a"},
	{"sunrise-sunset.org", "api.sunrise-sunset.org", "#b3400a"},
	{"astral, golden and blue", "sffjunkie/astral", "#d99a00"},
}

// measure computes every event of the table that has a time.
func measure(table io.Reader) ([]dot, error) {
	rows, err := csv.NewReader(table).ReadAll()
	if err != nil {
		return nil, err
	}
	const columns = 11
	var dots []dot
	for i, row := range rows {
		if len(row) != columns {
			return nil, fmt.Errorf("row %d has %d columns, want %d", i+1, len(row), columns)
		}
		if row[8] != string(sun.OK) {
			continue // the heading, and events that do not happen
		}
		d, err := compare(row)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		dots = append(dots, d)
	}
	return dots, nil
}

func compare(row []string) (dot, error) {
	lat, err := strconv.ParseFloat(row[2], 64)
	if err != nil {
		return dot{}, err
	}
	lon, err := strconv.ParseFloat(row[3], 64)
	if err != nil {
		return dot{}, err
	}
	published, err := time.Parse(time.RFC3339, row[7])
	if err != nil {
		return dot{}, err
	}
	group := slices.IndexFunc(groups[:], func(g source) bool { return strings.HasPrefix(row[10], g.begins) })
	if group < 0 {
		return dot{}, fmt.Errorf("unknown source %q", row[10])
	}
	place, event := sun.Place{Lat: lat, Lon: lon}, row[6]
	nearest := math.Inf(1)
	for _, t := range place.Times(event, published.Add(-12*time.Hour), published.Add(12*time.Hour)) {
		if s := t.Sub(published).Seconds(); math.Abs(s) < math.Abs(nearest) {
			nearest = s
		}
	}
	if math.IsInf(nearest, 1) {
		return dot{}, fmt.Errorf("no %s within twelve hours of %s", event, row[7])
	}
	title := fmt.Sprintf("%s %s %s: %+.0f s", row[1], row[5], event, nearest)
	return dot{group, math.Abs(lat), nearest, title}, nil
}
