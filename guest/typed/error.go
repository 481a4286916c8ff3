package typed

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"spore/guest"
)

// Error lets a function answer with a status of its choice. The body is
// {"error":{"code":"...","message":"..."}}; both texts are seen by the caller.
type Error struct {
	Status  int    // 400 to 599; anything else becomes 500
	Code    string // for programs: "no_such_place"
	Message string // for people
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) answer() (guest.Result, error) {
	status := e.Status
	if status < 400 || status > 599 {
		status = 500
	}
	return answer(status, errorBody{report{Code: e.Code, Message: e.Message}})
}

type errorBody struct {
	Error report `json:"error"`
}

type report struct {
	Code    string `json:"code"`
	At      *int64 `json:"at,omitempty"` // byte of the body; in bad_json only
	Message string `json:"message"`
}

// badJSON answers a body that does not fit in, the type of the function's input.
func badJSON(in reflect.Type, body []byte, err error) (guest.Result, error) {
	r := report{Code: "bad_json", At: new(int64), Message: err.Error()}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case len(body) == 0:
		r.Message = "the body is empty, where JSON is wanted"
	case errors.As(err, &syntax):
		*r.At = syntax.Offset
	case errors.As(err, &mismatch):
		*r.At = mismatch.Offset
		r.Message = describe(in, mismatch)
	}
	return answer(400, errorBody{r})
}

// describe says what is wrong in the caller's terms: encoding/json's own text
// names Go types that a stranger neither knows nor should.
func describe(in reflect.Type, e *json.UnmarshalTypeError) string {
	field := path(in, e.Field)
	if field == "" {
		field = "the body"
	}
	return field + " cannot be " + article(e.Value)
}

// path is an error's field in a value of type t as the caller writes it: encoding/json
// has the Go names of embedded structs in it too.
func path(t reflect.Type, field string) string {
	var seen []string
	for name := range strings.SplitSeq(field, ".") {
		f, ok := fieldOf(t, name)
		if !ok { // below a type with an UnmarshalJSON of its own
			t = reflect.TypeFor[any]()
			seen = append(seen, name)
			continue
		}
		if t = f.Type; !isEmbedded(f) {
			seen = append(seen, name)
		}
	}
	return strings.Join(seen, ".")
}

// fieldOf finds what encoding/json calls name in t, or in what t points to or holds.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name || tag == "" && f.Name == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// isEmbedded reports whether the fields of f are those of the struct that f is in.
func isEmbedded(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return f.Anonymous && tag == "" && t.Kind() == reflect.Struct
}

func article(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "string", "number", "bool":
		return "a " + value
	}
	return value
}
