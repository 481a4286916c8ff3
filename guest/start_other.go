//go:build !wasip1

package guest

import (
	"os"

	"spore/guest/internal/sys"
)

// Start refuses to run outside a sandbox.
func Start(Handler) {
	os.Stderr.WriteString("this is a spore function: build it with `spore build` and run it with `spore invoke --local`\n")
	os.Exit(2)
}

func respond(*Result) error { return sys.Check("send_response", sys.SendResponse(nil)) }
