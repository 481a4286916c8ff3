package main

import (
	"strings"
	"testing"

	"spore/guest/guesttest"
)

// build puts the function behind the routes that it has in functions.toml.
func build(t *testing.T) *guesttest.Function {
	t.Helper()
	return guesttest.Options{Routes: []string{"POST /NAME", "GET /NAME/{name}"}}.Build(t, ".")
}

func TestGreets(t *testing.T) {
	fn := build(t)
	const want = `{"greeting":"Hello, Ada!"}`
	if res := fn.Get(t, "/NAME/Ada"); res.Status != 200 || res.Body != want {
		t.Errorf("got %d %s, want 200 %s", res.Status, res.Body, want)
	}
	if res := fn.Post(t, "/NAME", `{"name":"Ada"}`); res.Status != 200 || res.Body != want {
		t.Errorf("got %d %s, want 200 %s", res.Status, res.Body, want)
	}
}

func TestRefusesWhatIsNoName(t *testing.T) {
	fn := build(t)
	for _, body := range []string{``, `{}`, `{"name":1}`, `not JSON`, `{"name":"` + strings.Repeat("a", 101) + `"}`} {
		if res := fn.Post(t, "/NAME", body); res.Status != 400 {
			t.Errorf("%s: got %d %s, want 400", body, res.Status, res.Body)
		}
	}
}
