// Hello answers every event with a greeting.
package main

import (
	"context"

	"spore/guest"
)

func main() { guest.Start(handle) }

func handle(_ context.Context, _ guest.Event) (guest.Result, error) {
	return guest.Text("Hello, world!"), nil
}
