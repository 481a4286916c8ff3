package roundtrip

import "net/http"

func init() { http.DefaultTransport = Transport{} }
