// Unchanged is a function from AWS Lambda as it was. spore.go is all that spore needs.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"spore/modules/lambda/intake"
)

func main() { lambda.Start(intake.Handle) }
