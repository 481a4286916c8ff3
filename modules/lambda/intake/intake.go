// Package intake is a function as one finds it on AWS Lambda: it takes what
// several services send it and says what has arrived. Nothing in it knows of spore.
package intake

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Arrival is the answer to events of services.
type Arrival struct {
	RequestID string   `json:"request_id"`
	Source    string   `json:"source"`
	Items     []string `json:"items"`
}

// envelope has what tells the events of services apart.
type envelope struct {
	Version    string `json:"version"`
	RouteKey   string `json:"routeKey"`
	HTTPMethod string `json:"httpMethod"`
	DetailType string `json:"detail-type"`
	Records    []struct {
		EventSource string `json:"eventSource"`
	} `json:"Records"`
}

// Handle answers an event of S3, SQS or EventBridge with an Arrival, and a request
// through API Gateway with a response that has the Arrival as its body.
func Handle(ctx context.Context, event json.RawMessage) (any, error) {
	var e envelope
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	switch {
	case e.RouteKey != "" && e.Version == "2.0":
		return with(ctx, event, request)
	case e.HTTPMethod != "":
		return with(ctx, event, restRequest)
	case e.DetailType != "":
		return with(ctx, event, scheduled)
	case len(e.Records) > 0 && e.Records[0].EventSource == "aws:s3":
		return with(ctx, event, objects)
	case len(e.Records) > 0 && e.Records[0].EventSource == "aws:sqs":
		return with(ctx, event, messages)
	}
	return nil, errors.New("this event is of no service I know")
}

func with[E, A any](ctx context.Context, event json.RawMessage, handle func(context.Context, E) (A, error)) (any, error) {
	var e E
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	return handle(ctx, e)
}

func objects(ctx context.Context, e events.S3Event) (Arrival, error) {
	var items []string
	for _, r := range e.Records {
		items = append(items, r.EventName+" "+r.S3.Bucket.Name+"/"+r.S3.Object.URLDecodedKey)
	}
	return arrival(ctx, "s3", items...), nil
}

func messages(ctx context.Context, e events.SQSEvent) (Arrival, error) {
	var items []string
	for _, m := range e.Records {
		items = append(items, m.MessageId+" "+m.Body)
	}
	return arrival(ctx, "sqs", items...), nil
}

func scheduled(ctx context.Context, e events.EventBridgeEvent) (Arrival, error) {
	return arrival(ctx, "eventbridge", e.Resources...), nil
}

func request(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
	}
	http := r.RequestContext.HTTP
	answer, err := json.Marshal(arrival(ctx, "http", fmt.Sprintf("%s %s from %s, %d bytes", http.Method, r.RawPath, http.SourceIP, len(body))))
	return events.APIGatewayV2HTTPResponse{
		StatusCode: 201,
		Headers:    map[string]string{"Content-Type": "application/json", "X-Bytes": fmt.Sprint(len(body))},
		Cookies:    []string{"seen=1; HttpOnly"},
		Body:       string(answer),
	}, err
}

func restRequest(ctx context.Context, r events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	answer, err := json.Marshal(arrival(ctx, "rest", r.HTTPMethod+" "+r.Path))
	return events.APIGatewayProxyResponse{StatusCode: 201, Body: string(answer)}, err
}

func arrival(ctx context.Context, source string, items ...string) Arrival {
	a := Arrival{Source: source, Items: items}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		a.RequestID = lc.AwsRequestID
	}
	return a
}
