// Unchanged is the probe with aws-lambda-go's own Start.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	_ "spore/guest/lambda/bridge"
	"spore/host/testdata/lambda/probe"
)

func main() { lambda.Start(probe.Handle) }
