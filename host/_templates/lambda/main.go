// NAME is a function as AWS Lambda has it. One import differs: on AWS it would be
// github.com/aws/aws-lambda-go/lambda.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/events"

	"spore/guest/lambda"
)

func main() { lambda.Start(handle) }

// handle gets an HTTP request as API Gateway (payload format 2.0) or a function URL
// would hand it over.
func handle(_ context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	name := req.QueryStringParameters["name"]
	if name == "" {
		return answer(400, map[string]string{"error": "add ?name=Ada to the URL"})
	}
	return answer(200, map[string]string{"greeting": "Hello, " + name + "!"})
}

func answer(status int, v any) (events.APIGatewayV2HTTPResponse, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, err
	}
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers:    map[string]string{"content-type": "application/json"},
		Body:       string(body),
	}, nil
}
