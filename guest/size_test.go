package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goTool runs the go command for wasip1 and returns its output. Offline: the
// packages asked for need nothing outside the module and the standard library.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOPROXY=off")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	require.NoError(t, err, "go %s", strings.Join(args, " "))
	return string(out)
}

func TestTheCoreImportsNothingHeavy(t *testing.T) {
	deps := strings.Fields(goTool(t, "list", "-deps", "spore/guest"))
	require.Contains(t, deps, "spore/guest/internal/sys")
	for _, heavy := range []string{"fmt", "encoding/json", "net/http", "log/slog", "os"} {
		require.NotContains(t, deps, heavy)
	}
}

func TestCallsStayLight(t *testing.T) {
	for _, name := range []string{"spore/guest/fetch", "spore/guest/kv"} {
		deps := strings.Fields(goTool(t, "list", "-deps", name))
		require.Contains(t, deps, "spore/guest/internal/descriptor")
		for _, heavy := range []string{"fmt", "encoding/json", "net/http", "log/slog"} {
			require.NotContains(t, deps, heavy)
		}
	}
}

// TestTheSmallestFunctionStaysSmall holds the budget of a module: what core
// guest costs every function there is. Go 1.26.8 makes 2.33 MB of it.
func TestTheSmallestFunctionStaysSmall(t *testing.T) {
	const budget = 2_600_000
	module := filepath.Join(t.TempDir(), "hello.wasm")
	goTool(t, "build", "-o", module, "spore/modules/hello")
	info, err := os.Stat(module)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(budget))
}
