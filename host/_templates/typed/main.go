// NAME splits a bill: JSON in, JSON out, as Go values.
package main

import (
	"context"

	"spore/guest/typed"
)

func main() { typed.Start(split) }

// Bill is a request. JSON that does not fit it is answered with status 400 before
// split is called.
type Bill struct {
	Cents  int64 `json:"cents"`
	People int   `json:"people"`
}

// Shares is the answer to it: what each pays.
type Shares struct {
	Cents []int64 `json:"cents"`
}

const maxPeople = 1000

// split shares the bill as equally as cents allow; the first pay what is left over.
func split(_ context.Context, bill Bill) (Shares, error) {
	if err := bill.check(); err != nil {
		return Shares{}, err
	}
	shares := make([]int64, bill.People)
	each, left := bill.Cents/int64(bill.People), bill.Cents%int64(bill.People)
	for i := range shares {
		shares[i] = each
		if int64(i) < left {
			shares[i]++
		}
	}
	return Shares{shares}, nil
}

// check returns a typed.Error, which becomes the answer. Any other error would be
// logged, and the client would see status 502 without its text.
func (b Bill) check() error {
	switch {
	case b.Cents < 0:
		return &typed.Error{Status: 422, Code: "bad_cents", Message: "cents cannot be negative"}
	case b.People < 1 || b.People > maxPeople:
		return &typed.Error{Status: 422, Code: "bad_people", Message: "people must be 1 to 1000"}
	}
	return nil
}
