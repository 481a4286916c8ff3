package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// bench runs itself again for what needs a process, and with it a scheduler and a
// collector, of its own. A child reads standard input and ends when that ends, so
// none outlives its parent.

const (
	serverCommand = "bench-server" // VARIANT WORKLOAD MODULE DIRECTORY PROFILE BUSY
	clientCommand = "bench-client"
)

// runChild is a child's main. It reports whether args were a child's.
func runChild(ctx context.Context, args []string) (ran bool, err error) {
	switch {
	case len(args) == 7 && args[0] == serverCommand:
		busy, err := time.ParseDuration(args[6])
		if err != nil {
			return true, err
		}
		return true, runServer(ctx, args[1], args[2], args[3], args[4], args[5], busy)
	case len(args) == 1 && args[0] == clientCommand:
		return true, runClient(os.Stdin, os.Stdout)
	}
	return false, nil
}

// child is a running child.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// stopTime is how long a child may take to end before it is killed.
const stopTime = 20 * time.Second

func startChild(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, json.NewDecoder(bufio.NewReader(out))}, nil
}

// hear reads the next thing the child says into v.
func (c *child) hear(v any) error {
	if err := c.out.Decode(v); err != nil {
		return fmt.Errorf("%s ended too early: %w", c.cmd.Args[1], err)
	}
	return nil
}

// stop has the child end and waits for it. What it says last is read into last,
// unless that is nil.
func (c *child) stop(last any) error {
	kill := time.AfterFunc(stopTime, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	err := c.in.Close()
	if last != nil && err == nil {
		err = c.hear(last)
	}
	return errors.Join(err, c.cmd.Wait())
}
