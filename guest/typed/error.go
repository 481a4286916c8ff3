package typed

import (
	"encoding/json"
	"errors"

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

// badJSON answers a body that does not fit the function's input.
func badJSON(err error) (guest.Result, error) {
	r := report{Code: "bad_json", At: new(int64), Message: err.Error()}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		*r.At = syntax.Offset
	case errors.As(err, &mismatch):
		*r.At = mismatch.Offset
		r.Message = describe(mismatch)
	}
	return answer(400, errorBody{r})
}

// describe says what is wrong in the caller's terms: encoding/json's own text
// names Go types that a stranger neither knows nor should.
func describe(e *json.UnmarshalTypeError) string {
	field := e.Field
	if field == "" {
		field = "the body"
	}
	return field + " cannot be " + article(e.Value)
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
