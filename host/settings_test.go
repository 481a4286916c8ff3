package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/host/config"
)

func TestDemoSecretsAreRefusedWhereStrangersMayAsk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.toml")
	require.NoError(t, os.WriteFile(file, []byte("MINE = \"own\"\nTOKEN = \"demo-token\"\n"), 0o600))
	for listen, refused := range map[string]bool{
		"127.0.0.1:8080": false, "127.9.9.9:0": false, "[::1]:8080": false, "localhost:8080": false,
		":8080": true, "0.0.0.0:8080": true, "[::]:8080": true, "10.0.0.1:8080": true, "localhost.example.org:8080": true,
	} {
		_, err := openSecrets(&config.Config{Host: config.Host{Listen: listen}, Secrets: config.Secrets{File: file}})
		if refused {
			require.ErrorContains(t, err, "demo secrets, which everybody knows", listen)
		} else {
			require.NoError(t, err, listen)
		}
	}
}

func TestSettingsOfTheHostWaitForARestart(t *testing.T) {
	t.Parallel()
	dir := newDir(t, oneModule)
	writeModule(t, dir, 0)
	h := startHost(t, dir, time.Now)
	writeConfig(t, dir, "data = \"elsewhere\"\n"+strings.Replace(oneModule, "module =", "kv = \"1MiB\"\nmodule =", 1))
	h.logged("changes under [host] take effect after a restart", 1)
	h.logged("reloaded", 1)
	require.DirExists(t, filepath.Join(dir, "data", "state"), "the rest of the file counts at once")
	require.NoDirExists(t, filepath.Join(dir, "elsewhere"))
}
