package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// host is a running `spore serve`.
type host struct {
	cmd     *exec.Cmd
	address string        // base URL
	took    time.Duration // from its start to serving
	client  http.Client
	said    *bytes.Buffer // its log
}

// start runs a host and waits until it serves.
func start(ctx context.Context, dir, config string) (*host, error) {
	h := &host{said: &bytes.Buffer{}}
	h.cmd = exec.CommandContext(ctx, filepath.Join(dir, "spore"), "serve", "--config", config)
	h.cmd.Stderr = h.said
	h.cmd.Cancel = func() error { return h.cmd.Process.Signal(syscall.SIGTERM) }
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for h.address == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("the host ended: %w: %s", h.cmd.Wait(), h.said)
		}
		_, h.address, _ = strings.Cut(strings.TrimSpace(line), "spore serves ")
	}
	h.took = time.Since(begin)
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the host
	return h, nil
}

// stop ends the host and waits for it.
func (h *host) stop() error {
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, h.said)
	}
	return nil
}

// ask sends a small alert to a function and returns how long the answer took.
func (h *host) ask(path string) (time.Duration, error) {
	begin := time.Now()
	res, err := h.client.Post(h.address+path, "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode >= http.StatusInternalServerError && res.StatusCode != http.StatusBadGateway {
		err = errors.Join(err, fmt.Errorf("%s: %s", path, res.Status))
	}
	return time.Since(begin), err
}

// resident is the host's resident memory in bytes.
func (h *host) resident() (int, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", h.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("resident memory is read through /proc: %w", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	return pages * os.Getpagesize(), err
}
