package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"spore/abi"
)

// embedded is a NATS server that only this process can reach.
type embedded struct {
	*server.Server
	log *serverLog
}

// startTime is how long the server may take to read what its directory holds.
const startTime = time.Minute

// unlimited is the room the server believes to have. Each bucket has its own bound;
// by default the server would also refuse buckets whose bounds together are more
// than three quarters of the free disk, full or not.
const unlimited = 1 << 50

// tidyInterval is how often the server takes out of its files what is not in a bucket any
// more. A value that was replaced stays in them until then: a function that writes all
// the time fills what it writes in a second, 100 to 400 MB. With a thousand buckets
// that nobody uses it takes a hundredth of a core.
const tidyInterval = time.Second

// serverOptions are those of a server without a listener and without a word of its
// own: it installs no signal handlers, and its log goes where ours goes.
func serverOptions(dir string) *server.Options {
	return &server.Options{
		ServerName:         "spore",
		DontListen:         true,
		NoSigs:             true,
		NoSystemAccount:    true,
		JetStream:          true,
		StoreDir:           dir,
		SyncInterval:       tidyInterval,
		SyncAlways:         true, // without it a write is acknowledged up to two minutes before it is on disk
		JetStreamMaxStore:  unlimited,
		JetStreamMaxMemory: 1 << 20, // nothing is kept in memory alone
		MaxPayload:         abi.MaxKVValue + abi.MaxHead,
	}
}

func startEmbedded(dir string, log *slog.Logger) (*embedded, error) {
	if err := writable(dir); err != nil {
		return nil, err
	}
	s, err := server.NewServer(serverOptions(dir))
	if err != nil {
		return nil, err
	}
	out := &serverLog{log: log, failed: make(failure, 1)}
	s.SetLoggerV2(out, false, false, false)
	s.Start()
	if err := out.err(); err != nil { // it says so nowhere else
		s.Shutdown()
		return nil, err
	}
	if !s.ReadyForConnections(startTime) {
		s.Shutdown()
		return nil, fmt.Errorf("not ready after %v", startTime)
	}
	return &embedded{s, out}, nil
}

// writable finds out early, and in words of ours, what the server would end in.
func writable(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, "writable-*"); err == nil {
			_, err = f.Write([]byte("x"))
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("%w; set data in functions.toml to a directory you may write, on a disk with room", err)
	}
	return nil
}

func (e *embedded) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}

// serverLog passes on what the server has to say if it is a warning or worse. It is
// also the only place where the server tells that its store does not write any more
// or that it would end its process.
type serverLog struct {
	log    *slog.Logger
	failed failure

	mu    sync.Mutex
	fatal error
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}

func (l *serverLog) Warnf(format string, args ...any) {
	l.say(slog.LevelWarn, fmt.Sprintf(format, args...))
}

func (l *serverLog) Errorf(format string, args ...any) {
	l.say(slog.LevelError, fmt.Sprintf(format, args...))
}

func (l *serverLog) say(level slog.Level, text string) {
	l.log.Log(context.Background(), level, "state", "server", text)
	if !strings.Contains(text, "write error") && !strings.Contains(strings.ToLower(text), "disabl") { // "disabling JetStream", "will be DISABLED"
		return
	}
	cause := errors.New(text)
	if strings.Contains(text, syscall.ENOSPC.Error()) {
		cause = fmt.Errorf("%w on the disk of the data directory; free some", syscall.ENOSPC)
	}
	l.failed.report(cause)
}

func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = errors.New(strings.ToLower(fmt.Sprintf(format, args...)))
}

func (l *serverLog) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
