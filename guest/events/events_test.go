package events

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return b
}

func decode(t testing.TB, b []byte) request {
	t.Helper()
	var r request
	require.NoError(t, json.Unmarshal(b, &r))
	return r
}

// TestAnEventReadsLikeAWSsOwn sends the request of the fixture through spore.
func TestAnEventReadsLikeAWSsOwn(t *testing.T) {
	want := decode(t, fixture(t, "apigw-v2-request-no-authorizer.json"))
	ev := guest.Event{
		RequestID:  "LV7fzho-PHcEJPw=",
		Function:   "aaaaaaaaaa",
		Method:     "GET",
		Path:       "/",
		ClientAddr: "1.2.3.4:5678",
	}
	for name, value := range want.Headers {
		ev.Headers = append(ev.Headers, guest.Pair{Name: name, Value: value})
	}
	b, err := encode(ev, time.UnixMilli(1587481701067))
	require.NoError(t, err)
	got := decode(t, b)
	require.Equal(t, "anonymous", got.RequestContext.AccountID)
	want.RequestContext.AccountID = "anonymous"
	require.Equal(t, want, got)
}

// TestNoFieldOfAWSIsMissing compares the names in the JSON itself.
func TestNoFieldOfAWSIsMissing(t *testing.T) {
	var want, got map[string]any
	require.NoError(t, json.Unmarshal(fixture(t, "apigw-v2-request-no-authorizer.json"), &want))
	b, err := APIGatewayV2(guest.Event{})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &got))

	inner := want["requestContext"].(map[string]any)
	delete(inner, "authentication") // client certificates end at the host
	require.ElementsMatch(t, keys(want), keys(got))
	require.ElementsMatch(t, keys(inner), keys(got["requestContext"].(map[string]any)))
	http := got["requestContext"].(map[string]any)["http"].(map[string]any)
	require.ElementsMatch(t, keys(inner["http"].(map[string]any)), keys(http))
}

func keys(m map[string]any) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

func TestWhatRepeatsIsJoined(t *testing.T) {
	b, err := APIGatewayV2(guest.Event{
		Path:     "/a%2Fb",
		RawQuery: "x=1&y=a%20b&x=2&bad=%zz&flag",
		Params:   guest.Pairs{{Name: "rest", Value: "a/b"}},
		Headers: guest.Pairs{
			{Name: "accept", Value: "text/html"}, {Name: "Accept", Value: "*/*"},
			{Name: "cookie", Value: "a=1; b=2;"}, {Name: "cookie", Value: "c=3"},
		},
		ContentType: "text/plain",
	})
	require.NoError(t, err)
	got := decode(t, b)
	require.Equal(t, "/a%2Fb", got.RawPath)
	require.Equal(t, "x=1&y=a%20b&x=2&bad=%zz&flag", got.RawQueryString)
	require.Equal(t, map[string]string{"x": "1,2", "y": "a b", "flag": ""}, got.QueryStringParameters)
	require.Equal(t, map[string]string{"rest": "a/b"}, got.PathParameters)
	require.Equal(t, map[string]string{"accept": "text/html,*/*", "content-type": "text/plain"}, got.Headers)
	require.Equal(t, []string{"a=1", "b=2", "c=3"}, got.Cookies)
}

func TestBodies(t *testing.T) {
	tests := []struct {
		name        string
		contentType string
		headers     guest.Pairs
		body        string
		want        string
		base64      bool
	}{
		{"JSON is text", "application/json; charset=utf-8", nil, `{"a":"é"}`, `{"a":"é"}`, false},
		{"a JSON dialect is text", "application/problem+json", nil, `{}`, `{}`, false},
		{"the type's case does not matter", "TEXT/Plain", nil, "hi", "hi", false},
		{"text that is not UTF-8 is base64", "text/plain", nil, "\xff", "/w==", true},
		{"compressed text is base64", "text/plain", guest.Pairs{{Name: "content-encoding", Value: "gzip"}}, "hi", "aGk=", true},
		{"a form is base64", "application/x-www-form-urlencoded", nil, "a=b", "YT1i", true},
		{"a body of unknown type is base64", "", nil, "hi", "aGk=", true},
		{"no body is no base64", "image/png", nil, "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := APIGatewayV2(guest.Event{ContentType: tt.contentType, Headers: tt.headers, Body: []byte(tt.body)})
			require.NoError(t, err)
			got := decode(t, b)
			require.Equal(t, tt.want, got.Body)
			require.Equal(t, tt.base64, got.IsBase64Encoded)
		})
	}
}

func TestPeers(t *testing.T) {
	for peer, want := range map[string]string{"1.2.3.4:5": "1.2.3.4", "[2001:db8::1]:443": "2001:db8::1", "": "", "odd": "odd"} {
		require.Equal(t, want, address(peer))
	}
}

func TestTheFixturesAnswerIsUnderstood(t *testing.T) {
	res, err := Result(fixture(t, "lambda-urls-response.json"))
	require.NoError(t, err)
	require.Equal(t, guest.Result{
		Status:      201,
		ContentType: "application/json",
		Headers: guest.Pairs{
			{Name: "My-Custom-Header", Value: "Custom Value"},
			{Name: "set-cookie", Value: "Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT"},
			{Name: "set-cookie", Value: "Cookie_2=Value2; Max-Age=78000"},
		},
		Body: []byte(`{ "message": "Hello, world!" }`),
	}, res)
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		want   guest.Result
		err    string
	}{
		{"an object without a status is the body", `{"message":"hi"}`, guest.JSON([]byte(`{"message":"hi"}`)), ""},
		{"a string is the body", `"hi"`, guest.JSON([]byte(`"hi"`)), ""},
		{"null is the body", `null`, guest.JSON([]byte(`null`)), ""},
		{"a status in other letters is none", `{"StatusCode":404}`, guest.JSON([]byte(`{"StatusCode":404}`)), ""},
		{"a status alone", `{"statusCode":204}`, guest.Result{Status: 204, Body: []byte{}}, ""},
		{"a base64 body", `{"statusCode":200,"body":"/w==","isBase64Encoded":true}`, guest.Result{Status: 200, Body: []byte{0xff}}, ""},
		{"what version 2 ignores", `{"statusCode":200,"multiValueHeaders":{"a":["b"]},"body":"x"}`, guest.Result{Status: 200, Body: []byte("x")}, ""},
		{"nothing", ``, guest.Result{}, errNoJSON.Error()},
		{"text", `hi`, guest.Result{}, errNoJSON.Error()},
		{"two values", `{} {}`, guest.Result{}, errNoJSON.Error()},
		{"a status outside HTTP's", `{"statusCode":42}`, guest.Result{}, "events: the function's answer has status 42, want 200 to 599"},
		{"a status that is null", `{"statusCode":null}`, guest.Result{}, "events: the function's answer has status 0, want 200 to 599"},
		{"a body that is an object", `{"statusCode":200,"body":{}}`, guest.Result{},
			"events: read the function's answer: json: cannot unmarshal object into Go struct field response.body of type string"},
		{"broken base64", `{"statusCode":200,"body":"?","isBase64Encoded":true}`, guest.Result{},
			"events: decode the body of the function's answer: illegal base64 data at input byte 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := Result([]byte(tt.answer))
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tt.want, res)
		})
	}
}

func FuzzResult(f *testing.F) {
	f.Add(fixture(f, "lambda-urls-response.json"))
	f.Add([]byte(`{"statusCode":200,"body":"/w==","isBase64Encoded":true}`))
	f.Add([]byte(`"plain"`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		res, err := Result(answer)
		if err != nil {
			require.Equal(t, guest.Result{}, res)
			return
		}
		require.True(t, res.Status == 0 || res.Status >= 200 && res.Status <= 599, "status %d", res.Status)
	})
}
