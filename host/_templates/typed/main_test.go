package main

import (
	"slices"
	"testing"

	"spore/guest/guesttest"
)

// Plain Go needs no sandbox to be tested.
func TestSharesAddUp(t *testing.T) {
	for people := 1; people <= maxPeople; people++ {
		shares, err := split(t.Context(), Bill{Cents: 12345, People: people})
		var sum int64
		for _, cents := range shares.Cents {
			sum += cents
		}
		if err != nil || sum != 12345 || slices.Max(shares.Cents)-slices.Min(shares.Cents) > 1 {
			t.Fatalf("%d people: got %v, %v", people, shares, err)
		}
	}
}

// What clients see does.
func TestAnswers(t *testing.T) {
	fn := guesttest.Build(t, ".")
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"cents":1000,"people":3}`, 200, `{"cents":[334,333,333]}`},
		{`{"cents":-1,"people":3}`, 422, `{"error":{"code":"bad_cents","message":"cents cannot be negative"}}`},
		{`{"cents":1000}`, 422, `{"error":{"code":"bad_people","message":"people must be 1 to 1000"}}`},
		{`{"cents":"10"}`, 400, `{"error":{"code":"bad_json","at":13,"message":"cents cannot be a string"}}`},
	} {
		if res := fn.Post(t, "/", tt.body); res.Status != tt.status || res.Body != tt.want {
			t.Errorf("%s: got %d %s, want %d %s", tt.body, res.Status, res.Body, tt.status, tt.want)
		}
	}
}
