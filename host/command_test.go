package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAPlainCommandServesARoute goes from the listener to programs that know
// nothing of spore and back.
func TestAPlainCommandServesARoute(t *testing.T) {
	t.Parallel()
	const settings = "timeout = \"1s\"\nenv = { COLOUR = \"blue\" }\n"
	for language, source := range map[string]string{
		"go": `source = "ROOT/host/sandbox/testdata/command"`,
		"c":  `module = "ROOT/abi/testdata/guests/command/main.wasm"`,
	} {
		t.Run(language, func(t *testing.T) {
			toml := "[function.plain]\n" + source + "\n" + settings
			for _, method := range []string{"GET", "POST"} {
				toml += "[[function.plain.route]]\npath = \"/{what}\"\nmethod = \"" + method + "\"\n"
			}
			h := startHost(t, newDir(t, toml), time.Now)
			require.Contains(t, h.logged("plain WASI command", 1)[0]["msg"], "guest.Start")

			got := h.post("/upper", "hello")
			require.Equal(t, reply{200, got.header, "HELLO"}, got)
			require.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"))
			for range 3 {
				require.Equal(t, "1 0", h.get("/count").body, "no state survives")
			}
			vars := strings.Split(h.get("/env?q=1").body, "\n")
			require.Subset(t, vars, []string{"COLOUR=blue", "REQUEST_METHOD=GET", "QUERY_STRING=q=1", "REMOTE_ADDR=127.0.0.1",
				"HTTP_HOST=" + strings.TrimPrefix(h.url, "http://")})
			for path, want := range map[string]struct {
				status    int
				code, log string
			}{
				"/exit":  {http.StatusBadGateway, "exited", "exited with status 3: cannot go on"},
				"/large": {http.StatusBadGateway, "too_large", "to standard output"},
				"/spin":  {http.StatusGatewayTimeout, "deadline", "Task timed out after"},
				"/trap":  {http.StatusBadGateway, "trapped", "wasm error"},
			} {
				got := h.get(path)
				require.Equal(t, want.status, got.status, path)
				require.Contains(t, got.body, want.code)
				require.NotContains(t, got.body, "half an answer")
				h.logged("REPORT RequestId: "+got.header.Get("X-Spore-Request-Id"), 1)
				require.Contains(t, h.logs.String(), want.log)
			}
			require.Equal(t, "1 0", h.get("/count").body, "and no failure")
		})
	}
}
