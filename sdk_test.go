package spore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"spore"
)

// The patterns of go:embed name no depth beyond today's.
func TestTheSDKIsAllOfAbiAndGuestButTests(t *testing.T) {
	want := map[string]bool{"go.mod": true, "LICENSE": true}
	for _, root := range []string{"abi", "guest"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			if filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
				want[filepath.ToSlash(path)] = true
			}
			return err
		}))
	}
	got := spore.SDK()
	for path := range want {
		require.Contains(t, got, path)
	}
	require.Len(t, got, len(want))
	content, err := os.ReadFile("guest/guest.go")
	require.NoError(t, err)
	require.Equal(t, string(content), string(got["guest/guest.go"]))
	main, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	require.Contains(t, string(main), string(got["go.mod"]), "the same module path and version of Go")
}
