package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"spore/guest"
)

var errNoJSON = errors.New("events: the function's answer is not JSON")

// response is an answer of payload format 2.0.
type response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	Cookies         []string          `json:"cookies"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// Result turns what an AWS function returned into an answer. JSON without a
// statusCode is itself the body of a 200; an object with one says what to
// answer. The result may share answer's memory.
func Result(answer []byte) (guest.Result, error) {
	if !json.Valid(answer) {
		return guest.Result{}, errNoJSON
	}
	if !hasStatus(answer) {
		return guest.JSON(answer), nil
	}
	var r response
	if err := json.Unmarshal(answer, &r); err != nil {
		return guest.Result{}, fmt.Errorf("events: read the function's answer: %w", err)
	}
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return guest.Result{}, fmt.Errorf("events: the function's answer has status %d, want 200 to 599", r.StatusCode)
	}
	return r.result()
}

// hasStatus reports whether answer is an object with a key that is exactly
// "statusCode": encoding/json alone would take "StatusCode" for it as well.
func hasStatus(answer []byte) bool {
	var keys map[string]json.RawMessage
	_ = json.Unmarshal(answer, &keys) // what is no object has no keys
	_, ok := keys["statusCode"]
	return ok
}

func (r *response) result() (guest.Result, error) {
	res := guest.Result{Status: uint32(r.StatusCode), Body: []byte(r.Body)}
	if r.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			return guest.Result{}, fmt.Errorf("events: decode the body of the function's answer: %w", err)
		}
		res.Body = body
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		value := r.Headers[name]
		if strings.EqualFold(name, "content-type") {
			res.ContentType = value
			continue
		}
		res.Headers = append(res.Headers, guest.Pair{Name: name, Value: value})
	}
	for _, c := range r.Cookies {
		res.Headers = append(res.Headers, guest.Pair{Name: "set-cookie", Value: c})
	}
	return res, nil
}
