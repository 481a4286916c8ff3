// W2 is the benchmark's JSON workload: it decodes an alert of about 1 KB with
// encoding/json and encodes it again with a decision.
package main

import (
	"context"

	"spore/bench/alert"
	"spore/guest"
)

func main() {
	for range 3 { // encoding/json fills its caches on first use; the snapshot keeps them
		_, _ = alert.Decide([]byte(alert.Sample))
	}
	guest.Start(func(_ context.Context, ev guest.Event) (guest.Result, error) {
		out, err := alert.Decide(ev.Body)
		return guest.JSON(out), err
	})
}
