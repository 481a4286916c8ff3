package sandbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"spore/host/internal/testmodule"
	"spore/host/sandbox"
)

// BenchmarkWake brings an image at rest back into memory: what the first request
// after five minutes of quiet, or after a restart, waits for.
func BenchmarkWake(b *testing.B) {
	for _, module := range []string{"hello", "alerts"} {
		b.Run(module, func(b *testing.B) {
			wasm := testmodule.Build(b, "../../modules/"+module)
			e, err := sandbox.Open(sandbox.Options{Directory: b.TempDir()})
			require.NoError(b, err)
			img, err := e.Prepare(b.Context(), wasm, settings())
			require.NoError(b, err)
			img.Close()
			for b.Loop() {
				img, err := e.Prepare(b.Context(), wasm, settings())
				require.NoError(b, err)
				sb, err := img.Open(b.Context())
				require.NoError(b, err)
				sb.Close()
				img.Close()
			}
		})
	}
}
