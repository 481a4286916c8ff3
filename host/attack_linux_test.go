package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestM4AHostThatCannotCompileInAnotherProcessDoesNotStart hides /proc, from which a
// program knows its own file.
func TestM4AHostThatCannotCompileInAnotherProcessDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := newDir(t, helloFile)
	wasm, _ := variant(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	cmd := exec.Command("/bin/sh", "-c", "mount -t tmpfs none /proc || exit 77; exec spore invoke hello --local")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == 77 {
		t.Skipf("no namespaces for this user: %v %s", err, out)
	}
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "spore: find spore's own file")
}
