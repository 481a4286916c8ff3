package abi

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeNamesItsChecks keeps the specification honest: every paragraph with
// a MUST names its checks, and they exist.
func TestReadmeNamesItsChecks(t *testing.T) {
	vectors := map[string]bool{}
	for _, f := range vectorFiles(t) {
		for _, v := range f.Vectors {
			vectors[f.Frame+"/"+v.Name] = true
		}
	}
	tests := map[string]string{"T": source(t, "."), "S": source(t, "../host/sandbox"), "W": source(t, "../host/trigger/web"),
		"C": source(t, "../host/capability"), "K": source(t, "../host/state")}
	tag := regexp.MustCompile(`\[(V|T|S|W|C|K): ([^\]]+)\]`)
	for _, p := range requirements(t) {
		found := tag.FindAllStringSubmatch(p, -1)
		require.NotEmpty(t, found, "no check is named in: %s", p)
		for _, m := range found {
			switch m[1] {
			case "V":
				require.True(t, vectors[m[2]], "there is no vector %q", m[2])
			default:
				require.True(t, named(tests[m[1]], m[2]), "there is no test %q", m[0])
			}
		}
	}
}

// named reports whether source has the test: a function, a case of
// TestConformance, or a case of another function behind its name and a slash.
func named(source, test string) bool {
	name, tcase, ok := strings.Cut(test, "/")
	if !strings.HasPrefix(name, "Test") {
		name, tcase, ok = "TestConformance", test, true
	}
	return strings.Contains(source, "\nfunc "+name+"(") && (!ok || strings.Contains(source, `"`+tcase+`"`))
}

// requirements returns the list items and paragraphs of README.md from section
// 2 on that contain a MUST.
func requirements(t *testing.T) []string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(text), "\n## 2.")
	require.True(t, ok)
	var musts []string
	for _, p := range regexp.MustCompile(`\n(?:\n|- )`).Split(body, -1) {
		if strings.Contains(p, "MUST") {
			musts = append(musts, p)
		}
	}
	require.NotEmpty(t, musts)
	return musts
}

// source returns the text of a directory's tests.
func source(t *testing.T, dir string) string {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, dir)
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}
