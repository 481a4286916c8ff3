package gobuild_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestABuildThatIsEndedLeavesNothing: a go command that is interrupted does not clean up.
func TestABuildThatIsEndedLeavesNothing(t *testing.T) {
	dir, cache := program(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := gobuild.Build(ctx, filepath.Join(dir, "cmd"), cache)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		found := false
		_ = filepath.WalkDir(cache, func(_ string, entry fs.DirEntry, err error) error {
			found = found || err == nil && entry.Name() == "b001"
			return nil
		})
		return found
	}, time.Minute, time.Millisecond, "the go command is at work")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, left, 1, "but the lock")
}

func TestBuildErrorShowsTheCompilersWords(t *testing.T) {
	dir := program(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/part.go"), []byte("package part\n"), 0o600))
	_, err := gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), t.TempDir())
	var refused *gobuild.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Output, "undefined: part.Name")
}

func TestAPackageThatIsNoCommandIsRefused(t *testing.T) {
	_, err := gobuild.Build(t.Context(), filepath.Join(program(t), "part"), t.TempDir())
	var refused *gobuild.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "the package there is no command; a function is package main, and its main ends in guest.Start(handler)", refused.Output)
}

// TestAModuleWithoutTheSDKIsToldHowToGetIt: the go command's own advice, go get,
// finds nothing, because the SDK is published nowhere.
func TestAModuleWithoutTheSDKIsToldHowToGetIt(t *testing.T) {
	for name, goMod := range map[string]string{
		"nothing of spore in go.mod": "module example\n\ngo 1.26.0\n",
		"a require without replace":  "module example\n\ngo 1.26.0\n\nrequire spore v0.0.0\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := program(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "cmd/main.go"), []byte("package main\n\nimport \"spore/guest\"\n\nfunc main() { guest.Start(nil) }\n"), 0o600))
			_, err := gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), t.TempDir())
			var refused *gobuild.Error
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Output, "spore new")
			require.Contains(t, refused.Output, "\treplace spore => /path/to/spore's/source")
		})
	}
}

// TestAModuleOfAnOlderGoIsToldWhatTheSDKNeeds: the go command's own advice, go mod tidy,
// wants the network.
func TestAModuleOfAnOlderGoIsToldWhatTheSDKNeeds(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := program(t)
	goMod := "module example\n\ngo 1.26\n\nrequire spore v0.0.0\n\nreplace spore => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cmd/main.go"), []byte("package main\n\nimport \"spore/guest\"\n\nfunc main() { guest.Start(nil) }\n"), 0o600))
	_, err = gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), t.TempDir())
	require.ErrorContains(t, err, "the line `go 1.26.0`")
}

func TestAToolThatDoesNotStartSaysWhy(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	_, err := gobuild.FindSources(t.Context(), gone)
	require.ErrorContains(t, err, "build "+gone+":\nstat ")
}

func TestSourcesAreThoseThatMatter(t *testing.T) {
	dir := program(t)
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name))
		}
		return paths
	}
	embed := "package part\n\nimport _ \"embed\"\n\n//go:embed with space.txt\nvar Name string\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/part.go"), []byte(strings.Replace(embed, "with space.txt", "`with space.txt`", 1)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/with space.txt"), nil, 0o600))
	s, err := gobuild.FindSources(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err)
	require.Equal(t, in("cmd", "part"), s.Dirs)
	require.Equal(t, in("go.mod", "go.sum", "part/with space.txt"), s.Files)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cmd/main.go"), []byte("package main\n\nimport \"example/part\"\n\nfunc {"), 0o600))
	_, err = gobuild.FindSources(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err, "a source that does not compile has sources all the same")
}

// TestAWorkspaceIsASource: it says which modules others are taken from, and in which versions.
func TestAWorkspaceIsASource(t *testing.T) {
	dir := program(t)
	goWork := filepath.Join(dir, "go.work")
	require.NoError(t, os.WriteFile(goWork, []byte("go 1.26.0\n\nuse .\n"), 0o600))
	s, err := gobuild.FindSources(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err)
	require.Subset(t, s.Files, []string{goWork, goWork + ".sum"})
}

// TestWhatIsVendoredIsASource: after `go get` a build fails until `go mod vendor` has
// written there, and nowhere else.
func TestWhatIsVendoredIsASource(t *testing.T) {
	dir := program(t)
	for name, content := range map[string]string{
		"go.mod":                            "module example\n\ngo 1.26.0\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/b v1.0.0\n)\n\nreplace example.com/b => ./b\n",
		"cmd/main.go":                       "package main\n\nimport (\n\t_ \"example.com/a/part\"\n\t_ \"example.com/b\"\n)\n\nfunc main() {}\n",
		"b/go.mod":                          "module example.com/b\n",
		"vendor/example.com/a/part/part.go": "package part\n",
		"vendor/example.com/b/b.go":         "package b\n",
		"vendor/modules.txt": "# example.com/a v1.0.0\n## explicit; go 1.26\nexample.com/a/part\n" +
			"# example.com/b v1.0.0 => ./b\n## explicit\nexample.com/b\n# example.com/b => ./b\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	_, err := gobuild.Build(t.Context(), filepath.Join(dir, "cmd"), t.TempDir())
	require.NoError(t, err)
	s, err := gobuild.FindSources(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err)
	in := func(name string) string { return filepath.Join(dir, name) }
	require.Equal(t, []string{in("cmd"), in("vendor/example.com/a/part"), in("vendor/example.com/b")}, s.Dirs)
	require.Equal(t, []string{in("go.mod"), in("go.sum"), in("vendor/modules.txt")}, s.Files)
}

// TestWhatMayComeToBeEmbeddedIsASource: the next change of a build without a file to embed
// is that file, and a file that a directory gets is embedded with it.
func TestWhatMayComeToBeEmbeddedIsASource(t *testing.T) {
	dir := program(t)
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, "part", name))
		}
		return paths
	}
	embed := "package part\n\nimport \"embed\"\n\n//go:embed missing.txt all:tree *.tmpl page[s]/*/*.html\nvar FS embed.FS\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "part/part.go"), []byte(embed), 0o600))
	for _, sub := range []string{"tree/.deep", "tree/empty", "pages/en"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "part", sub), 0o700))
	}
	for _, file := range []string{"tree/.deep/a.txt", "pages/a.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "part", file), nil, 0o600))
	}
	s, err := gobuild.FindSources(t.Context(), filepath.Join(dir, "cmd"))
	require.NoError(t, err)
	require.Equal(t, in("../go.mod", "../go.sum", "missing.txt", "tree"), s.Files)
	require.Equal(t, in("*.tmpl", "page[s]", "pages/*", "pages/en/*.html", "tree/*", "tree/.deep/*", "tree/empty/*"), s.Embedded)
}
