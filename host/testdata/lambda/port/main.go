// Port is the probe moved to guest/lambda.
package main

import (
	_ "spore/guest/roundtrip"

	"spore/guest/lambda"
	"spore/host/testdata/lambda/probe"
)

func main() { lambda.Start(probe.Handle) }
