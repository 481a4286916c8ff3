package invocation

import (
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/require"

	"spore/guest"
)

func TestContextHasWhatTheEventSays(t *testing.T) {
	ev := guest.Event{RequestID: "r-1", Function: "stats", Version: "7", TraceID: "Self=1;Root=1-2-3"}
	t.Setenv("AWS_REGION", "")
	ctx := Context(t.Context(), ev)
	lc, ok := lambdacontext.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, lambdacontext.LambdaContext{AwsRequestID: "r-1", InvokedFunctionArn: "arn:aws:lambda:us-east-1:012345678912:function:stats:7"}, *lc)
	require.Equal(t, "Self=1;Root=1-2-3", ctx.Value("x-amzn-trace-id"))

	t.Setenv("AWS_REGION", "eu-north-1")
	ev.TraceID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" // W3C's form says nothing to X-Ray
	ctx = Context(t.Context(), ev)
	lc, _ = lambdacontext.FromContext(ctx)
	require.Equal(t, "arn:aws:lambda:eu-north-1:012345678912:function:stats:7", lc.InvokedFunctionArn)
	require.Nil(t, ctx.Value("x-amzn-trace-id"))
}

func TestTheEnvironmentFollowsTheEvent(t *testing.T) {
	for _, name := range []string{functionName, functionVersion, traceID} {
		t.Setenv(name, "before")
	}
	defer func() { lambdacontext.FunctionName, lambdacontext.FunctionVersion = "", "" }()
	for _, version := range []string{"7", "8"} {
		Describe(guest.Event{Function: "stats", Version: version, TraceID: "Root=" + version})
		require.Equal(t, "stats "+version, lambdacontext.FunctionName+" "+lambdacontext.FunctionVersion)
		require.Equal(t, "stats "+version+" Root="+version, os.Getenv(functionName)+" "+os.Getenv(functionVersion)+" "+os.Getenv(traceID))
	}
}
