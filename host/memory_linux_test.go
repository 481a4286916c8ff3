package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMachinesMemoryIsWhatItsControlGroupsLeave(t *testing.T) {
	root := t.TempDir()
	for file, text := range map[string]string{
		"system.slice/memory.max":                         "3000000\n",
		"system.slice/spore.service/memory.max":           "max\n",
		"memory/docker/memory.limit_in_bytes":             "2000000\n",
		"memory/docker/inner/memory.limit_in_bytes":       "9223372036854771712\n",
		"memory/memory.limit_in_bytes":                    "9223372036854771712\n",
		"cpu/docker/inner/memory.limit_in_bytes":          "1\n",
		"memory/docker/inner/other/memory.limit_in_bytes": "1\n",
	} {
		path := filepath.Join(root, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	const machine = 5_000_000
	for groups, want := range map[string]int64{
		"":                                 machine,
		"0::/":                             machine,
		"0::/system.slice/spore.service\n": 3_000_000,
		"0::/elsewhere\n":                  machine,
		"12:cpu,cpuacct:/docker/inner\n4:memory:/docker/inner\n0::/unused\n": 2_000_000,
		"0::/../../system.slice": 3_000_000,
	} {
		require.Equal(t, want, groupMemory(root, groups, machine), groups)
	}
	require.Greater(t, machineMemory(), int64(64<<20))
}
