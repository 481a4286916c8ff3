package sandbox_test

import "flag"

// long is for the forms of tests that take minutes.
var long = flag.Bool("long", false, "run the long forms")

// times is how often a test does something: few times, or many with -long.
func times(few, many int) int {
	if *long {
		return many
	}
	return few
}
