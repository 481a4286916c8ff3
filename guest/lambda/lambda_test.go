package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
	"spore/guest/lambda/internal/invocation"
)

type order struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

type closer struct {
	io.Reader `json:"-"`
	closed    *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

// readable is a reader that is something in JSON too.
type readable struct {
	io.Reader `json:"-"`
	A         int
}

type custom struct{}

func (custom) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	return append([]byte("got "), payload...), nil
}

var errOrder = errors.New("out of stock")

// TestSignaturesBehaveAsInAWSsOwnLibrary gives both implementations every kind of
// handler and event.
func TestSignaturesBehaveAsInAWSsOwnLibrary(t *testing.T) {
	handlers := map[string]any{
		"func()":                          func() {},
		"func(in)":                        func(order) {},
		"func() error":                    func() error { return nil },
		"func() error, failing":           func() error { return errOrder },
		"func(in) error":                  func(in order) error { return fmt.Errorf("%d of %s", in.Count, in.Name) },
		"func() (out, error)":             func() (order, error) { return order{"out", 1}, nil },
		"func(in) (out, error)":           func(in order) (order, error) { return in, nil },
		"func(*in) (*out, error)":         func(in *order) (*order, error) { return in, nil },
		"func(any) (any, error)":          func(in any) (any, error) { return in, nil },
		"func(ctx)":                       func(context.Context) {},
		"func(ctx) error":                 func(ctx context.Context) error { return ctx.Err() },
		"func(ctx) (out, error)":          func(context.Context) (string, error) { return "<out>", nil },
		"func(ctx, in)":                   func(context.Context, order) {},
		"func(ctx, in) error":             func(context.Context, order) error { return errOrder },
		"func(ctx, in) (out, error)":      func(_ context.Context, in order) (order, error) { return in, nil },
		"func(ctx, bytes) (bytes, error)": func(_ context.Context, in []byte) ([]byte, error) { return in, nil },
		"a type that is an error":         func() (*order, *fs) { return nil, nil },
		"an error beside a value":         func() (order, error) { return order{"lost", 1}, errOrder },
		"a value JSON cannot hold":        func() (any, error) { return make(chan int), nil },
		"a reader":                        func() (io.Reader, error) { return strings.NewReader("raw"), nil },
		"a reader that closes":            func() (any, error) { return closer{strings.NewReader("raw"), new(bool)}, nil },
		"a reader that is JSON":           func() (readable, error) { return readable{strings.NewReader("raw"), 1}, nil },
		"a reader that is no JSON": func() (any, error) {
			return struct {
				closer
				C chan int
			}{closer: closer{strings.NewReader("raw"), new(bool)}}, nil
		},
		"a lambda.Handler":                custom{},
		"a lambda.Handler with an option": lambda.NewHandlerWithOptions(func(in order) (order, error) { return in, nil }, lambda.WithSetIndent(">", " ")),
		"a type of events":                func(in events.SQSEvent) (events.SQSEvent, error) { return in, nil },
	}
	payloads := []string{`{"name":"<a>","count":2}`, `{"name":"a"} {"trailing":1}`, `"AAE="`, `null`, `[]`, `{`, ``, `7`}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			ours, err := newInvoker(handler)
			require.NoError(t, err)
			theirs := lambda.NewHandler(handler)
			for _, payload := range payloads {
				want, wantErr := theirs.Invoke(t.Context(), []byte(payload))
				got, gotErr := ours.Invoke(t.Context(), []byte(payload))
				require.Equal(t, wantErr, gotErr, payload)
				require.Equal(t, string(want), string(got), payload)
			}
		})
	}
}

// fs is an error by its pointer.
type fs struct{}

func (*fs) Error() string { return "file system" }

func TestReadersAreClosed(t *testing.T) {
	closed := false
	b, err := encode(closer{strings.NewReader("raw"), &closed})
	require.NoError(t, err)
	require.Equal(t, "raw", string(b))
	require.True(t, closed)
}

// TestWhatIsNoHandlerIsRefusedAtOnce: AWS's library would say so at every event.
func TestWhatIsNoHandlerIsRefusedAtOnce(t *testing.T) {
	for name, handler := range map[string]any{
		"nil":                     nil,
		"a value":                 7,
		"three arguments":         func(context.Context, order, order) {},
		"no context first":        func(order, order) {},
		"another interface":       func(io.Reader) {},
		"an event of methods":     func(context.Context, io.Reader) {},
		"three results":           func() (int, int, error) { return 0, 0, nil },
		"a value and no error":    func() int { return 0 },
		"two values and no error": func() (int, int) { return 0, 0 },
		//lint:ignore ST1008 it is refused for that
		"an error first":         func() (error, int) { return nil, 0 },
		"any number of events":   func(...order) {},
		"a function that is nil": (func() error)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			h, err := newInvoker(handler)
			require.ErrorContains(t, err, "want")
			require.Nil(t, h)
		})
	}
}

func TestErrorsThatNameThemselves(t *testing.T) {
	report := messages.InvokeResponse_Error{Type: "Stock.Empty", Message: "none left",
		StackTrace: []*messages.InvokeResponse_Error_StackFrame{{Path: "stock/stock.go", Line: 12, Label: "Take"}}}
	for name, handler := range map[string]func() error{
		"returned":   func() error { return report },
		"panic with": func() error { panic(report) },
	} {
		t.Run(name, func(t *testing.T) {
			h, err := newInvoker(handler)
			require.NoError(t, err)
			_, err = serve(h)(t.Context(), guest.Event{})
			var failure *invocation.Failure
			require.ErrorAs(t, err, &failure)
			require.EqualError(t, failure, "none left")
			require.Equal(t, "Stock.Empty", failure.ErrorType())
			require.Equal(t, "Take\n\tstock/stock.go:12\n", failure.ErrorStack())
		})
	}
}

func TestOtherPanicsAreTheSDKs(t *testing.T) {
	h, err := newInvoker(func() { panic("lost") })
	require.NoError(t, err)
	require.PanicsWithValue(t, "lost", func() { _, _ = serve(h)(t.Context(), guest.Event{}) })
}

func TestOnlyHTTPIsTranslated(t *testing.T) {
	h, err := newInvoker(func(in map[string]any) (map[string]any, error) {
		return map[string]any{"statusCode": 204, "version": in["version"]}, nil
	})
	require.NoError(t, err)
	res, err := serve(h)(t.Context(), guest.Event{Trigger: abi.TriggerHTTP, Body: []byte("not JSON")})
	require.NoError(t, err)
	require.Equal(t, uint32(204), res.Status)
	require.Empty(t, res.Body)
	for _, trigger := range []string{abi.TriggerInvoke, abi.TriggerWarmup, "a trigger of tomorrow"} {
		res, err = serve(h)(t.Context(), guest.Event{Trigger: trigger, Method: "POST", Body: []byte(`{"version":"x"}`)})
		require.NoError(t, err)
		require.Equal(t, guest.JSON([]byte(`{"statusCode":204,"version":"x"}`)), res)
	}
}

// TestARequestIsNoEventOfAnotherKind: the handler would be given one without a method
// and a path, or without records.
func TestARequestIsNoEventOfAnotherKind(t *testing.T) {
	for name, tc := range map[string]struct {
		handler any
		refused string
	}{
		"format 1.0":             {func(events.APIGatewayProxyRequest) {}, "events.APIGatewayProxyRequest"},
		"a pointer to one":       {func(*events.ALBTargetGroupRequest) {}, "events.ALBTargetGroupRequest"},
		"a queue's":              {func(context.Context, events.SQSEvent) {}, "events.SQSEvent"},
		"format 2.0":             {handler: func(events.APIGatewayV2HTTPRequest) {}},
		"format 2.0 by its name": {handler: func(context.Context, *events.LambdaFunctionURLRequest) {}},
		"a type of the author's": {handler: func(order) {}},
		"anything":               {handler: func(any) {}},
		"none":                   {handler: func() {}},
		"a lambda.Handler":       {handler: custom{}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := newInvoker(tc.handler)
			require.NoError(t, err)
			_, err = serve(h)(t.Context(), guest.Event{Trigger: abi.TriggerInvoke, Body: []byte("{}")})
			require.NoError(t, err)
			_, err = serve(h)(t.Context(), guest.Event{Trigger: abi.TriggerHTTP})
			if tc.refused == "" {
				require.NotContains(t, fmt.Sprint(err), "the handler takes")
			} else {
				require.ErrorContains(t, err, "the handler takes "+tc.refused+"; a request over HTTP is an events.APIGatewayV2HTTPRequest")
			}
		})
	}
}

// touchy is a type that expects to have been filled.
type touchy struct{ p *int }

func (t touchy) MarshalJSON() ([]byte, error) { return fmt.Append(nil, *t.p), nil }

func TestWarmingUpSurvivesMarshalersOfTheAuthors(t *testing.T) {
	calls := 0
	for _, handler := range []any{func(touchy) { calls++ }, func() (touchy, error) { calls++; return touchy{}, nil }, func() { calls++ }, custom{}} {
		h, err := newInvoker(handler)
		require.NoError(t, err)
		require.NotPanics(t, func() { warm(h) })
	}
	require.Zero(t, calls, "the handler is not called")
}

// TestAPortedFunctionIsSpareOfHTTP holds what makes a module 6 MB instead of 16.
// The types of aws-lambda-go/events import net/http and use its constants alone.
func TestAPortedFunctionIsSpareOfHTTP(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "spore/guest/lambda")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOPROXY=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, "github.com/aws/aws-lambda-go/lambdacontext")
	require.NotContains(t, deps, "net/http")
}
