// Port is a function from AWS Lambda that was moved to spore: it imports
// spore/guest/lambda where it imported github.com/aws/aws-lambda-go/lambda.
package main

import (
	"spore/guest/lambda"
	"spore/modules/lambda/intake"
)

func main() { lambda.Start(intake.Handle) }
