package abi

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeNamesItsChecks keeps the specification honest: every paragraph with
// a MUST names a check, and the checks of this package exist.
func TestReadmeNamesItsChecks(t *testing.T) {
	vectors := map[string]bool{}
	for _, f := range vectorFiles(t) {
		for _, v := range f.Vectors {
			vectors[f.Frame+"/"+v.Name] = true
		}
	}
	tests := testNames(t)
	tag := regexp.MustCompile(`\[([VTSW]): ([^\]]+)\]`)
	for _, p := range requirements(t) {
		found := tag.FindAllStringSubmatch(p, -1)
		require.NotEmpty(t, found, "no check is named in: %s", p)
		for _, m := range found {
			switch m[1] {
			case "V":
				require.True(t, vectors[m[2]], "there is no vector %q", m[2])
			case "T":
				require.True(t, tests[m[2]], "there is no test %q", m[2])
			}
		}
	}
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

func testNames(t *testing.T) map[string]bool {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
	}
	return names
}
