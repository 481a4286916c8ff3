package roundtrip

import "net/http"

func init() { take(http.DefaultTransport.(*http.Transport)) }
