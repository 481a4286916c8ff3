package sandbox_test

import "flag"

var (
	long    = flag.Bool("long", false, "run the long forms")
	cancels = flag.Int("cancels", 1600, "how many guests are cancelled; the long form has 100,000")
)

// times is how often a test repeats what it does: n, or so many in the long form.
func times(n, inLong int) int {
	if *long {
		return inLong
	}
	return n
}
