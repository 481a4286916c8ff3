// Package lambda starts a function that was written for AWS Lambda and
// github.com/aws/aws-lambda-go. Only the import of its main changes:
//
//	import "spore/guest/lambda"
//
//	func main() { lambda.Start(handle) }
//
//	func handle(ctx context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)
//
// A program that is to stay as it is imports spore/guest/lambda/bridge instead.
// Where both will do this package is the better one: a small event takes 40 us
// where the bridge takes 540, and a module has 6 MB instead of 16, because nothing
// goes through net/http.
//
// An event that came over HTTP is given to the handler as API Gateway's payload
// format 2.0, which is that of function URLs too, and the answer becomes the
// response: an object with a statusCode says what to answer, any other JSON is the
// body of a 200. A handler that takes another of aws-lambda-go's events, such as
// APIGatewayProxyRequest of format 1.0, is not given it, and the log says so. Every
// other event, from `spore invoke --local` and from warmup too, is given as its body
// is: a file with an S3, SQS, EventBridge or API Gateway event is a whole event. Its
// answer is the handler's JSON as it is.
//
// A program that calls others with net/http has one more import, the blank one of
// spore/guest/roundtrip, and gives http.DefaultClient to a library that would make a
// Transport of its own, as AWS's SDK does.
//
// ctx ends at the event's deadline and carries a lambdacontext.LambdaContext. What
// lambdacontext reads when the program starts is what env of functions.toml says, as
// in AWS_LAMBDA_FUNCTION_MEMORY_SIZE = "64"; the function's name and version are
// there in the handler.
// Errors and panics are logged with Lambda's errorType and errorMessage, and the
// client sees status 502. Streamed responses and Cognito identities do not exist
// here. Every event starts from the snapshot: what AWS would keep in a warm
// instance between two events is gone. Code before Start runs once, at deploy, and
// is refused outbound calls and secrets, which on AWS often have their place there:
// they belong in the handler.
package lambda

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"spore/abi"
	"spore/guest"
	"spore/guest/lambda/internal/invocation"
)

// Start says that initialisation is complete and answers every event with
// handler, which may have any of the signatures of aws-lambda-go's Start or be a
// lambda.Handler; one made by lambda.NewHandlerWithOptions brings its options, and
// net/http. Start does not return, and ends the program when the signature is
// another, so that the deploy fails. It registers with guest.Warm that
// encoding/json learns the handler's types, so that the snapshot knows them.
func Start(handler any) {
	h, err := newInvoker(handler)
	if err != nil {
		panic("lambda: " + err.Error())
	}
	guest.Warm(func() { warm(h) })
	guest.Start(serve(h))
}

func serve(h invoker) guest.Handler {
	noRequest := takesNoRequest(h)
	return func(ctx context.Context, ev guest.Event) (guest.Result, error) {
		if ev.Trigger == abi.TriggerHTTP && noRequest != nil {
			return guest.Result{}, noRequest
		}
		invocation.Describe(ev)
		payload, err := invocation.Payload(ev)
		if err != nil {
			return guest.Result{}, err
		}
		answer, err := invoke(invocation.Context(ctx, ev), h, payload)
		if report, ok := err.(messages.InvokeResponse_Error); ok {
			return guest.Result{}, &invocation.Failure{Report: report}
		}
		if err != nil {
			return guest.Result{}, err
		}
		return invocation.Result(ev, answer)
	}
}

// invoke returns a panic with an error of the author's naming as that error.
func invoke(ctx context.Context, h invoker, payload []byte) (answer []byte, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case messages.InvokeResponse_Error:
			err = p
		default:
			panic(p)
		}
	}()
	return h.Invoke(ctx, payload)
}

// warm fills the caches encoding/json keeps for each type, as guest/typed does
// for its own. Marshalers of the author's own may not expect a zero value; then
// the first event pays, and the deploy does not fail.
func warm(h invoker) {
	defer func() { _ = recover() }()
	http := guest.Event{Trigger: abi.TriggerHTTP}
	_, _ = invocation.Payload(http)
	_, _ = invocation.Result(http, []byte(`{"statusCode":200}`))
	f, ok := h.(*function)
	if !ok {
		return
	}
	if f.in != nil {
		zero := reflect.New(f.in).Interface()
		if b, err := json.Marshal(zero); err == nil {
			_ = json.Unmarshal(b, zero)
		}
	}
	if f.call.Type().NumOut() == 2 {
		_, _ = encode(reflect.Zero(f.call.Type().Out(0)).Interface())
	}
}
