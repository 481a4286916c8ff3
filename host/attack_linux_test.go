package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// TestS6AHostLeavesNoCoreDump starts a host where the limit on core dumps is as high as
// it may be.
func TestS6AHostLeavesNoCoreDump(t *testing.T) {
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &before))
	if before.Max == 0 {
		t.Skip("nothing started here could leave one")
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}))
	t.Cleanup(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &before)) })
	dir := newDir(t, "")
	startProcess(t, dir)
	holder, err := os.ReadFile(filepath.Join(dir, "data", "lock"))
	require.NoError(t, err)
	limits, err := os.ReadFile(filepath.Join("/proc", strings.TrimPrefix(strings.TrimSpace(string(holder)), "process "), "limits"))
	require.NoError(t, err)
	require.Regexp(t, `Max core file size +1 +1 +bytes`, string(limits))
}
