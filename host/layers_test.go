package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layers is the table of host/README.md, lowest first. A package imports only
// from lines above its own; packages on one line never import each other. An
// entry ending in /... covers everything below it.
var layers = [][]string{
	{"spore/abi"},
	{"spore/guest/internal/sys", "spore/guest/internal/descriptor"},
	{"spore/guest", "spore/host/function"},
	{"spore/guest/fetch", "spore/guest/secret", "spore/guest/kv", "spore/guest/logging", "spore/guest/typed", "spore/guest/slack", "spore/guest/events", "spore/guest/guesttest"},
	{"spore/guest/roundtrip", "spore/guest/lambda/internal/invocation"},
	{"spore/guest/lambda", "spore/guest/lambda/bridge"},
	{"spore/host/wasmbin", "spore/host/state", "spore/host/config", "spore/host/gobuild"},
	{"spore/host/sandbox", "spore/host/capability", "spore/host/registry"},
	{"spore/host/invoke", "spore/host/telemetry"},
	{"spore/host/trigger/..."},
	{"spore"}, // the SDK's source as data
	{"spore/host"},
}

// doors names the one package each foreign library is imported from.
var doors = map[string]string{
	"github.com/tetratelabs/wazero": "spore/host/sandbox",
	"github.com/valyala/fasthttp":   "spore/host/trigger/web",
	"github.com/BurntSushi/toml":    "spore/host/config",
	"github.com/nats-io":            "spore/host/state",
	"github.com/fsnotify/fsnotify":  "spore/host",
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	packages := append(list(t, nil), list(t, []string{"GOOS=wasip1", "GOARCH=wasm"})...)
	require.Greater(t, len(packages), len(layers))
	for _, p := range packages {
		if strings.HasPrefix(p.ImportPath, "spore/bench") || strings.HasPrefix(p.ImportPath, "spore/host/internal") {
			continue // measurements and test helpers may use anything
		}
		for _, imported := range p.Imports {
			require.Empty(t, complaint(p.ImportPath, imported))
		}
	}
}

func TestLayerRulesRefuseWhatTheyShould(t *testing.T) {
	for _, bad := range [][2]string{
		{"spore/abi", "spore/guest"},
		{"spore/guest", "spore/host/function"},
		{"spore/host/sandbox", "spore/host/registry"},
		{"spore/host/config", "spore/host/sandbox"},
		{"spore/host/invoke", "github.com/tetratelabs/wazero/api"},
		{"spore/host/capability", "github.com/nats-io/nats.go/jetstream"},
		{"spore/guest/events", "github.com/aws/aws-lambda-go/events"},
		{"spore/modules/alerts", "spore/host/function"},
		{"spore/host/newcomer", "spore/abi"},
		{"spore/guest", "spore"},
	} {
		require.NotEmpty(t, complaint(bad[0], bad[1]), "%s imports %s", bad[0], bad[1])
	}
}

// complaint says what is wrong with one import, or "".
func complaint(from, to string) string {
	for library, door := range doors {
		if (to == library || strings.HasPrefix(to, library+"/")) && from != door {
			return fmt.Sprintf("%s imports %s; its only door is %s", from, to, door)
		}
	}
	if strings.HasPrefix(to, "github.com/aws/") && !strings.HasPrefix(from, "spore/guest/lambda") && !strings.HasPrefix(from, "spore/modules/") {
		return fmt.Sprintf("%s imports %s; only what comes from AWS Lambda does", from, to)
	}
	if to != "spore" && !strings.HasPrefix(to, "spore/") {
		return ""
	}
	if strings.HasPrefix(from, "spore/modules/") {
		if strings.HasPrefix(to, "spore/guest") || strings.HasPrefix(to, moduleOf(from)+"/") {
			return ""
		}
		return fmt.Sprintf("%s imports %s; a function imports guest and nothing else of ours", from, to)
	}
	above, below := layer(from), layer(to)
	switch {
	case above < 0:
		return from + " is not in the layer table"
	case below < 0:
		return to + " is not in the layer table"
	case below >= above && !sameFamily(from, to):
		return fmt.Sprintf("%s imports %s, which is not below it", from, to)
	}
	return ""
}

func moduleOf(path string) string {
	return strings.Join(strings.Split(path, "/")[:3], "/")
}

// sameFamily allows a package to use what stands in its own directory.
func sameFamily(from, to string) bool { return strings.HasPrefix(to, from+"/internal") }

func layer(path string) int {
	return slices.IndexFunc(layers, func(line []string) bool {
		return slices.ContainsFunc(line, func(entry string) bool {
			prefix, tree := strings.CutSuffix(entry, "/...")
			return path == entry || tree && strings.HasPrefix(path, prefix+"/")
		})
	})
}

func list(t *testing.T, env []string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "spore/...")
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.Output()
	require.NoError(t, err)
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		require.NoError(t, dec.Decode(&p))
		packages = append(packages, p)
	}
	return packages
}
