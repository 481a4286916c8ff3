//go:build unix

package gobuild

import (
	"context"
	"os"
	"syscall"
	"time"
)

// lockRetry is how often a lock that another has is tried: flock cannot be told to stop
// waiting. It is short beside a build.
const lockRetry = 20 * time.Millisecond

// lockFile waits until this process alone holds the file at path, or ctx ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err == syscall.EWOULDBLOCK {
			select {
			case <-time.After(lockRetry):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		f.Close()
		return nil, err
	}
}
