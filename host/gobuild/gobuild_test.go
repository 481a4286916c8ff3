package gobuild_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/host/gobuild"
)

// program writes a command of its own module that imports another package.
func program(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{
		"go.mod":         "module example\n\ngo 1.26.0\n",
		"cmd/main.go":    "package main\n\nimport \"example/part\"\n\nfunc main() { println(part.Name) }\n",
		"part/part.go":   "package part\n\nconst Name = \"part\"\n",
		"other/other.go": "package other\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

func TestBuildFollowsTheSource(t *testing.T) {
	dir, cache := program(t), t.TempDir()
	build := func() []byte {
		wasm, err := gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), cache)
		require.NoError(t, err)
		return wasm
	}
	first := build()
	require.Equal(t, "\x00asm", string(first[:4]))
	require.Equal(t, first, build())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/part.go"), []byte("package part\n\nconst Name = \"changed\"\n"), 0o600))
	require.NotEqual(t, first, build())
}

func TestBuildErrorShowsTheCompilersWords(t *testing.T) {
	dir := program(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/part.go"), []byte("package part\n"), 0o600))
	_, err := gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), t.TempDir())
	var refused *gobuild.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Output, "undefined: part.Name")
}

func TestSourceDirsAreThoseThatMatter(t *testing.T) {
	dir := program(t)
	dirs, err := gobuild.SourceDirs(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err)
	require.Equal(t, []string{dir, filepath.Join(dir, "cmd"), filepath.Join(dir, "part")}, dirs)
}
