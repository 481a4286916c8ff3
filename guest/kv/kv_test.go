//go:build unix

package kv

import (
	"bytes"
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
)

// host is a stand-in for kv_start: it decodes the request and answers on a
// non-blocking pipe, which Go's poller treats as it treats the real descriptor.
func host(t *testing.T, answer func(req abi.KVRequest, w io.Writer)) func([]byte) int32 {
	t.Helper()
	return func(frame []byte) int32 {
		var req abi.KVRequest
		if err := req.Decode(bytes.Clone(frame)); err != nil {
			return abi.Invalid.Errno()
		}
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			return abi.Internal.Errno()
		}
		if err := syscall.SetNonblock(fds[0], true); err != nil {
			return abi.Internal.Errno()
		}
		w := os.NewFile(uintptr(fds[1]), "store")
		go func() {
			defer w.Close()
			answer(req, w)
		}()
		return int32(fds[0])
	}
}

func says(t *testing.T, b []byte) func([]byte) int32 {
	return host(t, func(_ abi.KVRequest, w io.Writer) { _, _ = w.Write(b) })
}

func TestDoRefuses(t *testing.T) {
	frame := func(a abi.KVAnswer) []byte { return abi.AppendKVAnswer(nil, &a) }
	good := frame(abi.KVAnswer{Revision: 1})
	tests := map[string]struct {
		start func([]byte) int32
		value int
		kind  abi.Kind
		is    error
		text  string
	}{
		"what the host does not start": {func([]byte) int32 { return abi.Denied.Errno() }, 0, abi.Denied, nil,
			`kv get "k": denied: there is no host outside a sandbox; see spore/guest/guesttest for tests`},
		"no such key":               {says(t, frame(abi.KVAnswer{Kind: abi.NotFound, Message: "nowhere"})), 0, abi.NotFound, ErrNotFound, `kv get "k": not_found: nowhere`},
		"another revision":          {says(t, frame(abi.KVAnswer{Kind: abi.Conflict})), 0, abi.Conflict, ErrConflict, `kv get "k": conflict`},
		"a full bucket":             {says(t, frame(abi.KVAnswer{Kind: abi.TooLarge, Message: "full"})), 0, abi.TooLarge, nil, `kv get "k": too_large: full`},
		"an empty answer":           {says(t, nil), 0, abi.Internal, io.EOF, `kv get "k": internal: the answer: EOF`},
		"an answer that breaks off": {says(t, good[:len(good)-1]), 0, abi.Internal, io.ErrUnexpectedEOF, `kv get "k": internal: the answer: unexpected EOF`},
		"an answer of another kind": {says(t, abi.AppendError(nil, &abi.Error{Type: "e"})), 0, abi.Internal, abi.ErrFrameKind, `kv get "k": internal: the answer: abi: frame of another kind`},
		"an answer that says it is huge": {says(t, []byte{8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), 0, abi.Internal, abi.ErrTooLarge,
			`kv get "k": internal: the answer: abi: over the limit of version 1`},
		"a value over the limit": {nil, abi.MaxKVValue + 1, abi.TooLarge, nil, `kv get "k": too_large: the value is over the limit of 1048576 bytes`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := do(t.Context(), "get", &abi.KVRequest{Key: "k", Body: make([]byte, tt.value)}, tt.start)
			require.EqualError(t, err, tt.text)
			require.Equal(t, tt.kind, guest.KindOf(err))
			for _, sentinel := range []error{ErrNotFound, ErrConflict} {
				if sentinel == tt.is {
					require.ErrorIs(t, err, sentinel)
				} else {
					require.NotErrorIs(t, err, sentinel)
				}
			}
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
		})
	}
}

func TestAContextThatEndsEndsTheOperation(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := do(ctx, "put", &abi.KVRequest{Key: "k"}, host(t, func(_ abi.KVRequest, w io.Writer) {
		_, _ = w.Write([]byte{8, 0})
		cancel()
		<-hang
	}))
	require.ErrorIs(t, err, context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err = do(late, "put", &abi.KVRequest{Key: "k"}, func([]byte) int32 {
		t.Error("an operation was started although the context had ended")
		return abi.Internal.Errno()
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, abi.Deadline, guest.KindOf(err))
}

func TestOutsideASandboxKeysAreDenied(t *testing.T) {
	ctx := t.Context()
	_, get := Get(ctx, "k")
	_, put := Put(ctx, "k", nil, 0)
	_, create := Create(ctx, "k", nil, time.Hour)
	_, update := Update(ctx, "k", nil, 1, -1)
	_, list := List(ctx, "")
	for _, err := range []error{get, put, create, update, list, Delete(ctx, "k"), DeleteAt(ctx, "k", 1)} {
		require.Equal(t, abi.Denied, guest.KindOf(err), "%v", err)
	}
	require.Equal(t, abi.Invalid, guest.KindOf(DeleteAt(ctx, "k", 0)), "which would delete any revision")
}
