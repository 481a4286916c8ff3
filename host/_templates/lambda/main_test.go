package main

import (
	"testing"

	"spore/guest/guesttest"
)

func TestAnswers(t *testing.T) {
	fn := guesttest.Build(t, ".")
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/?name=Ada", 200, `{"greeting":"Hello, Ada!"}`},
		{"/", 400, `{"error":"add ?name=Ada to the URL"}`},
	} {
		if res := fn.Get(t, tt.path); res.Status != tt.status || res.Body != tt.want {
			t.Errorf("%s: got %d %s, want %d %s", tt.path, res.Status, res.Body, tt.status, tt.want)
		}
	}
}
