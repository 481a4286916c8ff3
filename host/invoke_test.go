package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJSONHasTheBodyAsItIs: as text where it is text, as in recordings.
func TestJSONHasTheBodyAsItIs(t *testing.T) {
	for body, want := range map[string]string{
		"wörld\n":         `"body":"wörld\n"}`,
		"\x89PNG\xff":     `"body":"","body_base64":"iVBOR/8="}`,
		"\ufffd is text":  `"body":"` + "\ufffd" + ` is text"}`,
		"\x1b[1m\u009b1m": `"body":"\u001b[1m\u009b1m"}`, // steers a terminal
	} {
		var out buffer
		require.NoError(t, printAnswer(&out, &answer{Status: 200, RequestID: "id", Body: body}, invokeOptions{json: true}))
		require.Equal(t, `{"status":200,"request_id":"id","headers":null,`+want+"\n", out.String())
	}
}
