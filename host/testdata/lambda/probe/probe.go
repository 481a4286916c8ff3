// Package probe is a function for AWS Lambda that shows what one can see and how
// one can fail. Its path says what to do.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing/iotest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

var requests int

// Handle does what the path says.
func Handle(ctx context.Context, req events.APIGatewayV2HTTPRequest) (any, error) {
	requests++
	switch what := strings.TrimPrefix(req.RawPath, "/"); what {
	case "count":
		return requests, nil
	case "context":
		return describe(ctx), nil
	case "missing":
		return events.APIGatewayV2HTTPResponse{StatusCode: 404, Body: "none here"}, nil
	case "binary":
		return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "AP8=", IsBase64Encoded: true}, nil
	case "error":
		return nil, errors.New("no such alert")
	case "named":
		return nil, messages.InvokeResponse_Error{Type: "Custom.Type", Message: "by its own name"}
	case "panic":
		panic("lost my way")
	case "panicnamed":
		panic(messages.InvokeResponse_Error{Type: "Custom.Panic", Message: "by its own name too"})
	case "broken":
		return iotest.ErrReader(errors.New("half an answer")), nil
	case "text":
		return strings.NewReader("this is no JSON"), nil
	case "spin":
		for time.Now().Unix() > 0 {
		}
	case "exit":
		os.Exit(7)
	case "wait":
		<-ctx.Done()
		time.Sleep(time.Hour) // the context may end a moment before the host does
	case "fetch":
		return fetch(req.QueryStringParameters["url"])
	}
	return nil, nil
}

func describe(ctx context.Context) map[string]string {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]string{
		"id":       lc.AwsRequestID,
		"arn":      lc.InvokedFunctionArn,
		"deadline": fmt.Sprint(deadline.UnixMilli()),
		"name":     lambdacontext.FunctionName + " " + os.Getenv("AWS_LAMBDA_FUNCTION_NAME"),
		"version":  lambdacontext.FunctionVersion + " " + os.Getenv("AWS_LAMBDA_FUNCTION_VERSION"),
		"trace":    fmt.Sprint(ctx.Value("x-amzn-trace-id"), " ", os.Getenv("_X_AMZN_TRACE_ID")),
		"left":     fmt.Sprint(time.Until(deadline) > 0),
	}
}

func fetch(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
