// Package events translates between spore's HTTP events and the JSON that
// functions written for AWS Lambda know: payload format 2.0 of API Gateway,
// which is that of function URLs too.
//
//	payload, err := events.APIGatewayV2(ev)
//	answer, err := lambdaHandler.Invoke(ctx, payload)
//	return events.Result(answer)
package events

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"spore/guest"
)

// defaultName is the route and the stage of every event: routes are spore's own.
const defaultName = "$default"

// request is payload format 2.0 (aws-lambda-go events/apigw.go), without what
// only an AWS account could fill.
type request struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	Body                  string            `json:"body,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         requestHTTP `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"` // milliseconds
}

type requestHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// APIGatewayV2 returns ev as an AWS function gets it. Headers, query and route
// parameters that repeat are joined by commas; cookies stand apart from the
// headers. A body that is not text by its content type, or not UTF-8, is base64,
// and so are form posts, as on AWS.
func APIGatewayV2(ev guest.Event) ([]byte, error) { return encode(ev, time.Now()) }

func encode(ev guest.Event, now time.Time) ([]byte, error) {
	body, isBase64 := encodeBody(ev)
	host := ev.Headers.Get("host")
	prefix, _, _ := strings.Cut(host, ".")
	return json.Marshal(request{
		Version:               "2.0",
		RouteKey:              defaultName,
		RawPath:               ev.Path,
		RawQueryString:        ev.RawQuery,
		Cookies:               cookies(ev.Headers),
		Headers:               headers(ev),
		QueryStringParameters: query(ev.RawQuery),
		PathParameters:        join(ev.Params),
		RequestContext: requestContext{
			AccountID:    "anonymous", // what function URLs say without IAM
			APIID:        ev.Function,
			DomainName:   host,
			DomainPrefix: prefix,
			HTTP: requestHTTP{
				Method:    ev.Method,
				Path:      ev.Path,
				Protocol:  "HTTP/1.1",
				SourceIP:  address(ev.ClientAddr),
				UserAgent: ev.Headers.Get("user-agent"),
			},
			RequestID: ev.RequestID,
			RouteKey:  defaultName,
			Stage:     defaultName,
			Time:      now.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch: now.UnixMilli(),
		},
		Body:            body,
		IsBase64Encoded: isBase64,
	})
}

func headers(ev guest.Event) map[string]string {
	var rest guest.Pairs
	for _, h := range ev.Headers {
		if !strings.EqualFold(h.Name, "cookie") {
			rest = append(rest, guest.Pair{Name: strings.ToLower(h.Name), Value: h.Value})
		}
	}
	if ev.ContentType != "" && !rest.Has("content-type") {
		rest = append(rest, guest.Pair{Name: "content-type", Value: ev.ContentType})
	}
	all := join(rest)
	if all == nil {
		all = map[string]string{} // the field is always there
	}
	return all
}

func cookies(headers guest.Pairs) []string {
	var all []string
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "cookie") {
			continue
		}
		for c := range strings.SplitSeq(h.Value, ";") {
			if c = strings.TrimSpace(c); c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// query leaves out what cannot be decoded; rawQueryString has it all.
func query(raw string) map[string]string {
	values, _ := url.ParseQuery(raw)
	if len(values) == 0 {
		return nil
	}
	all := make(map[string]string, len(values))
	for name, list := range values {
		all[name] = strings.Join(list, ",")
	}
	return all
}

func join(pairs guest.Pairs) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	all := make(map[string]string, len(pairs))
	for _, p := range pairs {
		if before, ok := all[p.Name]; ok {
			p.Value = before + "," + p.Value
		}
		all[p.Name] = p.Value
	}
	return all
}

// address is the IP address of an address with a port.
func address(peer string) string {
	if ap, err := netip.ParseAddrPort(peer); err == nil {
		return ap.Addr().String()
	}
	return peer
}

func encodeBody(ev guest.Event) (body string, isBase64 bool) {
	if isText(ev) && utf8.Valid(ev.Body) {
		return string(ev.Body), false
	}
	return base64.StdEncoding.EncodeToString(ev.Body), len(ev.Body) > 0
}

func isText(ev guest.Event) bool {
	if ev.Headers.Has("content-encoding") {
		return false
	}
	media, _, _ := strings.Cut(ev.ContentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch media {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml")
}
