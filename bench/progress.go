package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows on a terminal how far the run is, and nothing elsewhere.
type progress struct{ out io.Writer }

const wipe = "\r\x1b[K"

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{io.Discard}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{io.Discard}
	}
	return &progress{w}
}

func (p *progress) say(what string) { fmt.Fprint(p.out, wipe+what+" …") }

// round shows that done of all rounds are over, and when the rest will be.
func (p *progress) round(done, all int, took time.Duration) {
	left := ""
	if done > 0 {
		left = fmt.Sprintf(", %v left", (took / time.Duration(done) * time.Duration(all-done)).Round(time.Second))
	}
	p.say(fmt.Sprintf("round %d of %d%s", done+1, all, left))
}

func (p *progress) wipe() { fmt.Fprint(p.out, wipe) }
