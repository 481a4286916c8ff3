package main

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The picture in the tree is what the command draws today.
func TestThePictureIsCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors fuse multiplications, which may move a rounded second")
	}
	want, err := os.ReadFile("../accuracy.svg")
	require.NoError(t, err)
	var got strings.Builder
	require.NoError(t, run("../../testdata/sun_events.csv", &got))
	require.True(t, got.String() == string(want), "run: go run ./modules/alerts/sun/plot > modules/alerts/sun/accuracy.svg")
}

// USNO's tables take sunrise and sunset, twilights and noon as this package
// does, so nothing may be left but the rounding of their minutes.
func TestUSNOLeavesOnlyItsRounding(t *testing.T) {
	f, err := os.Open("../../testdata/sun_events.csv")
	require.NoError(t, err)
	defer f.Close()
	dots, err := measure(f)
	require.NoError(t, err)
	seen := 0
	for _, d := range dots {
		if groups[d.group].name == "USNO" {
			seen++
			require.InDelta(t, 0, d.seconds, roundingOfTheTable+3, d.title)
		}
	}
	require.Equal(t, 176, seen)
}

func TestATableOfAnotherShapeIsRefused(t *testing.T) {
	const row = "S1,Kyiv,50.5,30.5,UTC,2026-01-03,sunrise,2026-01-03T05:58:00Z,ok,90,USNO"
	_, err := measure(strings.NewReader(row))
	require.NoError(t, err)
	for name, bad := range map[string]string{
		"too few columns":  "S1,Kyiv,50.5",
		"a latitude":       strings.Replace(row, "50.5", "north", 1),
		"a longitude":      strings.Replace(row, "30.5", "east", 1),
		"a time":           strings.Replace(row, "05:58:00Z", "six", 1),
		"an unknown paper": strings.Replace(row, "USNO", "hearsay", 1),
		"no such event":    strings.Replace(row, "50.5,30.5,UTC,2026-01-03,sunrise,2026-01-03", "89,0,UTC,2026-06-21,sunrise,2026-06-21", 1),
	} {
		_, err := measure(strings.NewReader(bad))
		require.Error(t, err, name)
	}
}
