// Package invocation is what an event looks like to code that was written for AWS
// Lambda: its payload, its context, its environment, and what an answer means.
package invocation

import (
	"context"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"spore/abi"
	"spore/guest"
	"spore/guest/events"
)

// Payload is the JSON the handler is given: an HTTP event in API Gateway's format
// 2.0, and the body of any other as it is.
func Payload(ev guest.Event) ([]byte, error) {
	if ev.Trigger == abi.TriggerHTTP {
		return events.APIGatewayV2(ev)
	}
	return ev.Body, nil
}

// Result is what the handler's answer means: for an HTTP event what a function
// URL would make of it, and for any other the answer itself.
func Result(ev guest.Event, answer []byte) (guest.Result, error) {
	if ev.Trigger == abi.TriggerHTTP {
		return events.Result(answer)
	}
	return guest.JSON(answer), nil
}

// Context returns ctx with what lambdacontext knows of ev.
func Context(ctx context.Context, ev guest.Event) context.Context {
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{
		AwsRequestID:       ev.RequestID,
		InvokedFunctionArn: ARN(ev),
	})
	if id := TraceID(ev); id != "" {
		//lint:ignore SA1029 this key is aws-lambda-go's own, and X-Ray's SDK reads it
		ctx = context.WithValue(ctx, "x-amzn-trace-id", id)
	}
	return ctx
}

// TraceID is ev's trace in X-Ray's format, or "".
func TraceID(ev guest.Event) string {
	if strings.Contains(ev.TraceID, "Root=") {
		return ev.TraceID
	}
	return ""
}

// ARN names the function that serves ev. It has the form of a real one because
// code takes it apart; the account is the one of AWS's own emulator.
func ARN(ev guest.Event) string {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = "us-east-1"
	}
	return "arn:aws:lambda:" + region + ":012345678912:function:" + ev.Function + ":" + ev.Version
}

// Names of environment variables that AWS sets and functions read.
const (
	functionName    = "AWS_LAMBDA_FUNCTION_NAME"
	functionVersion = "AWS_LAMBDA_FUNCTION_VERSION"
	traceID         = "_X_AMZN_TRACE_ID"
)

// Describe has the environment and lambdacontext's variables say which function
// serves ev. Only the event knows: main runs before there is a version.
func Describe(ev guest.Event) {
	describe(functionName, ev.Function, &lambdacontext.FunctionName)
	describe(functionVersion, ev.Version, &lambdacontext.FunctionVersion)
	if id := TraceID(ev); id != "" {
		os.Setenv(traceID, id)
	}
}

func describe(name, value string, variable *string) {
	if *variable != value { // equal after a warm-up, and in the snapshot
		*variable = value
		os.Setenv(name, value)
	}
}
