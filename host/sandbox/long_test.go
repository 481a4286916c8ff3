package sandbox_test

import "flag"

var long = flag.Bool("long", false, "run the long forms")

// times is how often a test repeats what it does: n, or so many in the long form.
func times(n, inLong int) int {
	if *long {
		return inLong
	}
	return n
}
