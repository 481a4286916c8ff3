package bridge

import (
	"net/http"
	"os"

	"spore/guest"
)

func init() {
	os.Setenv("AWS_LAMBDA_RUNTIME_API", address)
	http.DefaultTransport = newTransport(newRuntimeAPI(guest.Start))
}
