package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestM4AHostWhoseFileIsReplacedCompilesOn: an upgrade puts another program there, before
// or without a restart.
func TestM4AHostWhoseFileIsReplacedCompilesOn(t *testing.T) {
	spore, err := exec.LookPath("spore")
	require.NoError(t, err)
	program, err := os.ReadFile(spore)
	require.NoError(t, err)
	bin, dir := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "spore"), program, 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	writeConfig(t, dir, "[function.f]\nmodule = \"f.wasm\"\n[[function.f.route]]\npath = \"/\"\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f.wasm"), saying("old"), 0o600))
	h := startProcess(t, dir)
	require.NoError(t, os.Remove(filepath.Join(bin, "spore")))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "spore"), []byte("#!/bin/sh\nexit 1\n"), 0o700))
	other, greeting := variant(t, 0) // with other code, not only other data
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f.wasm"), other, 0o600))
	h.next(`"reloaded"`)
	require.Equal(t, greeting, h.get("/").body)
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

// TestX2FunctionsFindNoMoreThanTheHostsMemory: fifty requests that each take all they may
// are more than many a machine has.
func TestX2FunctionsFindNoMoreThanTheHostsMemory(t *testing.T) {
	const budget, host = 300, 128 // MiB; the second is for the process itself, its code and idle instances
	dir := newDir(t, "")
	writeConfig(t, dir, fmt.Sprintf("memory = \"%dMiB\"\n", budget)+probe)
	h := startProcess(t, dir)
	require.Equal(t, 200, h.get("/count").status)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var saw attackResult
	done := make(chan struct{})
	go func() {
		defer close(done)
		saw = h.attack(ctx, attack{"X2 memory", "GET", []string{"/grow"}, 0, 50, []int{502}})
	}()
	most := 0
	for attacked := true; attacked; {
		select {
		case <-done:
			attacked = false
		case <-time.After(5 * time.Millisecond):
		}
		most = max(most, residentKiB(t, h.process.Pid))
	}
	t.Logf("%d MiB at most; %d requests answered %v", most>>10, saw.Answers, saw.Statuses)
	require.Zero(t, saw.Failures)
	require.Contains(t, saw.Statuses, 503)
	require.Subset(t, []int{429, 502, 503, 504}, saw.Statuses)
	require.Less(t, most, (budget+host)<<10)
	h.requireSameProcess(t)
	require.Equal(t, 200, h.get("/count").status, "all of it came back")
}

// residentKiB is what memory a process has that is in no file.
func residentKiB(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(status), "RssAnon:")
	require.True(t, ok)
	_, err = fmt.Sscan(line, &kib)
	require.NoError(t, err)
	return kib
}
