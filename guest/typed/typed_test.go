package typed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/guest"
)

type order struct {
	Item  string    `json:"item"`
	Count int       `json:"count"`
	Lines []line    `json:"lines,omitempty"`
	Next  *order    `json:"next,omitempty"`
	Extra [2]uint8  `json:"extra"`
	Meta  meta      `json:"meta"`
	Tag   customTag `json:"tag"`
	audit
	History map[string][]record `json:"history,omitempty"`
	Code
}

// Code is embedded and no struct: a field like others.
type Code string

type (
	line  struct{ Text string }
	audit struct{ *Stamp }
	Stamp struct {
		By string `json:"by"`
	}
	record struct {
		audit
		Place struct{ *Stamp } `json:"place"`
	}
	meta struct {
		Nested struct{ Deep bool } `json:"nested"`
	}
	customTag struct{ name string }
)

func (t *customTag) UnmarshalJSON(b []byte) error {
	if string(b) == `"forbidden"` {
		return errors.New("that tag is taken")
	}
	return json.Unmarshal(b, &t.name)
}

func (t customTag) MarshalJSON() ([]byte, error) { return json.Marshal(t.name) }

type receipt struct {
	Text string `json:"text"`
}

func sell(_ context.Context, in order) (receipt, error) {
	switch in.Item {
	case "teapot":
		return receipt{}, &Error{Status: 418, Code: "teapot", Message: "I'm one"}
	case "wrapped":
		return receipt{}, fmt.Errorf("look up item: %w", &Error{Status: 404, Code: "no_item", Message: "no such item"})
	case "odd":
		return receipt{}, &Error{Status: 200, Code: "odd", Message: "not an error status"}
	case "broken":
		return receipt{}, errors.New("the till is stuck")
	}
	return receipt{fmt.Sprintf("%d x %s", in.Count, in.Item)}, nil
}

func TestHandlerAnswersInJSON(t *testing.T) {
	tests := []struct {
		name   string
		body   string
		status uint32
		want   string
	}{
		{"a good input", `{"item":"egg","count":3,"unknown":[1]}`, 0, `{"text":"3 x egg"}`},
		{"an error with a status", `{"item":"teapot"}`, 418, `{"error":{"code":"teapot","message":"I'm one"}}`},
		{"an error inside another", `{"item":"wrapped"}`, 404, `{"error":{"code":"no_item","message":"no such item"}}`},
		{"an error with a status that is none", `{"item":"odd"}`, 500, `{"error":{"code":"odd","message":"not an error status"}}`},
		{"no body", ``, 400, `{"error":{"code":"bad_json","at":0,"message":"the body is empty, where JSON is wanted"}}`},
		{"a field of an embedded struct", `{"by":7}`, 400, `{"error":{"code":"bad_json","at":7,"message":"by cannot be a number"}}`},
		{"a field below one", `{"history":{"x":[{"by":"ada"},{"place":{"by":7}}]}}`, 400,
			`{"error":{"code":"bad_json","at":46,"message":"history.place.by cannot be a number"}}`},
		{"an embedded string", `{"Code":7}`, 400, `{"error":{"code":"bad_json","at":9,"message":"Code cannot be a number"}}`},
		{"a body that breaks off", `{"item":`, 400, `{"error":{"code":"bad_json","at":8,"message":"unexpected end of JSON input"}}`},
		{"a stray character", `{"item":x}`, 400,
			`{"error":{"code":"bad_json","at":9,"message":"invalid character 'x' looking for beginning of value"}}`},
		{"two values", `{} {}`, 400, `{"error":{"code":"bad_json","at":4,"message":"invalid character '{' after top-level value"}}`},
		{"a value of another type", `{"count":"three"}`, 400, `{"error":{"code":"bad_json","at":16,"message":"count cannot be a string"}}`},
		{"a nested value of another type", `{"meta":{"nested":{"Deep":1}}}`, 400,
			`{"error":{"code":"bad_json","at":27,"message":"meta.nested.Deep cannot be a number"}}`},
		{"an array for an object", `[]`, 400, `{"error":{"code":"bad_json","at":1,"message":"the body cannot be an array"}}`},
		{"a number that does not fit", `{"count":1e99}`, 400, `{"error":{"code":"bad_json","at":13,"message":"count cannot be number 1e99"}}`},
		{"a value the author's type refuses", `{"tag":"forbidden"}`, 400, `{"error":{"code":"bad_json","at":0,"message":"that tag is taken"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := Handler(sell)(t.Context(), guest.Event{Body: []byte(tt.body)})
			require.NoError(t, err)
			require.Equal(t, tt.status, res.Status)
			require.Equal(t, "application/json", res.ContentType)
			require.Equal(t, tt.want, string(res.Body))
		})
	}
}

func TestOtherErrorsBecomeFunctionErrors(t *testing.T) {
	res, err := Handler(sell)(t.Context(), guest.Event{Body: []byte(`{"item":"broken"}`)})
	require.EqualError(t, err, "the till is stuck")
	require.Equal(t, guest.Result{}, res)
}

func TestAnOutputThatIsNoJSONIsAFunctionError(t *testing.T) {
	h := Handler(func(context.Context, int) (func(), error) { return func() {}, nil })
	res, err := h(t.Context(), guest.Event{Body: []byte(`1`)})
	require.ErrorContains(t, err, "unsupported type")
	require.Equal(t, guest.Result{}, res)
}

func TestTheContextReachesTheFunction(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "kept")
	h := Handler(func(ctx context.Context, in string) (any, error) { return ctx.Value(key{}), nil })
	res, err := h(ctx, guest.Event{Body: []byte(`"x"`)})
	require.NoError(t, err)
	require.Equal(t, `"kept"`, string(res.Body))
}

// marshals counts in warmed how often encoding/json met it.
type marshals struct{}

var warmed int

func (marshals) MarshalJSON() ([]byte, error)  { warmed++; return []byte(`{}`), nil }
func (*marshals) UnmarshalJSON(b []byte) error { warmed++; return nil }

func TestWarmingUpEncodesBothWaysAndCallsNoFunction(t *testing.T) {
	warmed = 0
	warm[marshals, marshals]()
	require.Equal(t, 3, warmed, "encode In, decode In, encode Out")
}

type explosive struct{ p *int }

func (e explosive) MarshalJSON() ([]byte, error) { return []byte{byte(*e.p)}, nil }

func TestAMarshalerThatPanicsOnAZeroValueDoesNotFailTheDeploy(t *testing.T) {
	require.NotPanics(t, warm[explosive, receipt])
	require.NotPanics(t, warm[receipt, explosive])
}

func BenchmarkHandler(b *testing.B) {
	h := Handler(sell)
	ev := guest.Event{Body: []byte(`{"item":"egg","count":3}`)}
	for b.Loop() {
		if _, err := h(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzHandlerAnswersEveryBody(f *testing.F) {
	f.Add([]byte(`{"item":"egg","count":3}`))
	f.Add([]byte(`{"item":"egg","lines":[{"Text":"a"}],"next":{"tag":"x"},"extra":[1,2]}`))
	f.Add([]byte(`{"extra":[300]}`))
	h := Handler(func(_ context.Context, in order) (order, error) { return in, nil })
	f.Fuzz(func(t *testing.T, body []byte) {
		res, err := h(t.Context(), guest.Event{Body: body})
		require.NoError(t, err)
		require.True(t, json.Valid(res.Body), "%s", res.Body)
		if res.Status == 400 {
			return
		}
		again, err := h(t.Context(), guest.Event{Body: res.Body})
		require.NoError(t, err)
		require.Equal(t, string(res.Body), string(again.Body))
	})
}

func TestAFunctionThatIsNilIsRefusedAtOnce(t *testing.T) {
	require.PanicsWithValue(t, "typed: the handler is nil", func() { Handler[order, order](nil) })
}
