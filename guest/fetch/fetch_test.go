//go:build unix

package fetch

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
	"spore/guest/internal/sys"
)

// host is a stand-in for http_start: it decodes the request and answers on a
// non-blocking pipe, which Go's poller treats as it treats the real descriptor.
func host(t testing.TB, answer func(req abi.HTTPRequest, w io.Writer)) func([]byte) int32 {
	t.Helper()
	return func(frame []byte) int32 {
		var req abi.HTTPRequest
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
		w := os.NewFile(uintptr(fds[1]), "upstream")
		go func() {
			defer w.Close()
			answer(req, w)
		}()
		return int32(fds[0])
	}
}

func head(h abi.HTTPHead) []byte { return abi.AppendHTTPHead(nil, &h) }

func TestDoSendsTheRequestAndReturnsTheAnswer(t *testing.T) {
	var got abi.HTTPRequest
	start := host(t, func(req abi.HTTPRequest, w io.Writer) {
		got = req
		w.Write(head(abi.HTTPHead{
			Status:  404,
			Headers: guest.Pairs{{Name: "content-type", Value: "text/plain"}},
			Unknown: []abi.Field{{Type: 999, Data: []byte("later")}},
		}))
		w.Write([]byte("no such "))
		w.Write([]byte("thing"))
	})
	res, err := do(t.Context(), &Request{
		Method:  "POST",
		URL:     "https://example.org/a?b=c",
		Headers: guest.Pairs{{Name: "accept", Value: "*/*"}},
		Body:    []byte("hello"),
		Timeout: 1500 * time.Microsecond,
	}, start)
	require.NoError(t, err)
	require.Equal(t, &Response{404, guest.Pairs{{Name: "content-type", Value: "text/plain"}}, []byte("no such thing")}, res)
	require.Equal(t, abi.HTTPRequest{
		Method:    "POST",
		URL:       "https://example.org/a?b=c",
		Headers:   guest.Pairs{{Name: "accept", Value: "*/*"}},
		TimeoutMS: 2,
		Body:      []byte("hello"),
	}, got)
}

func TestDoRefuses(t *testing.T) {
	answer := func(b []byte) func([]byte) int32 {
		return host(t, func(_ abi.HTTPRequest, w io.Writer) { w.Write(b) })
	}
	kind := func(k abi.Kind) func([]byte) int32 {
		return func([]byte) int32 { return k.Errno() }
	}
	good := head(abi.HTTPHead{Status: 200})
	tests := []struct {
		name  string
		req   Request
		start func([]byte) int32
		kind  abi.Kind
		text  string
	}{
		{"a call the host does not start", Request{URL: "https://example.org/a?token=s3cret"}, kind(abi.Denied),
			abi.Denied, "GET https://example.org/a: denied: there is no host outside a sandbox; see spore/guest/guesttest for tests"},
		{"a call too many", Request{URL: "x"}, kind(abi.Overloaded),
			abi.Overloaded, "GET x: overloaded: 64 calls may be open, with requests of 16 MiB together; close the bodies of those that are done"},
		{"a call the host cannot finish", Request{Method: "PUT", URL: "http://u:s3cret@example.org#s3cret"},
			answer(head(abi.HTTPHead{Kind: abi.Unavailable, Message: "connection refused"})),
			abi.Unavailable, "PUT http://example.org: unavailable: connection refused"},
		{"too many headers", Request{URL: "x"}, kind(abi.Invalid), abi.Invalid,
			"GET x: invalid: a body may have 6291456 bytes, 1000 headers together 131072"},
		{"too long headers", Request{URL: "x"}, kind(abi.TooLarge), abi.TooLarge,
			"GET x: too_large: a body may have 6291456 bytes, 1000 headers together 131072"},
		{"an empty answer", Request{URL: "x"}, answer(nil), abi.Internal, "GET x: internal: head of the answer: EOF"},
		{"a head that breaks off", Request{URL: "x"}, answer(good[:len(good)-1]), abi.Internal,
			"GET x: internal: head of the answer: unexpected EOF"},
		{"a head of another kind", Request{URL: "x"}, answer(abi.AppendError(nil, &abi.Error{Type: "e"})), abi.Internal,
			"GET x: internal: head of the answer: abi: frame of another kind"},
		{"a head that says it is huge", Request{URL: "x"}, answer([]byte{5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), abi.Internal,
			"GET x: internal: head of the answer: abi: over the limit of version 1"},
		{"a head shorter than its header", Request{URL: "x"}, answer([]byte{5, 0, 0, 0, 7, 0, 0, 0}), abi.Internal,
			"GET x: internal: head of the answer: abi: over the limit of version 1"},
		{"a body over the limit", Request{URL: "x"}, answer(append(bytes.Clone(good), make([]byte, abi.MaxBody+1)...)),
			abi.TooLarge, "GET x: too_large: the answer's body is over the limit of 6291456 bytes"},
		{"a request body over the limit", Request{URL: "x", Body: make([]byte, abi.MaxBody+1)}, kind(abi.Internal),
			abi.TooLarge, "GET x: too_large: the request's body is over the limit of 6291456 bytes"},
		{"a negative timeout", Request{URL: "x", Timeout: -1}, kind(abi.Internal), abi.Deadline,
			"GET x: deadline: the timeout is negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := do(t.Context(), &tt.req, tt.start)
			require.Nil(t, res)
			require.EqualError(t, err, tt.text)
			require.Equal(t, tt.kind, guest.KindOf(err))
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestDoReturnsABodyOfExactlyTheLimit(t *testing.T) {
	res, err := do(t.Context(), &Request{URL: "x"}, host(t, func(_ abi.HTTPRequest, w io.Writer) {
		w.Write(append(head(abi.HTTPHead{Status: 200}), make([]byte, abi.MaxBody)...))
	}))
	require.NoError(t, err)
	require.Len(t, res.Body, abi.MaxBody)
}

func TestAContextThatEndsEndsTheCall(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	tests := []struct {
		name string
		sent []byte // before the upstream falls silent
	}{
		{"before the head", nil},
		{"inside the head", head(abi.HTTPHead{Status: 200})[:5]},
		{"inside the body", append(head(abi.HTTPHead{Status: 200}), "half"...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			start := host(t, func(_ abi.HTTPRequest, w io.Writer) {
				w.Write(tt.sent)
				cancel()
				<-hang
			})
			_, err := do(ctx, &Request{URL: "https://example.org/?q"}, start)
			require.ErrorIs(t, err, context.Canceled)
			require.EqualError(t, err, "GET https://example.org/: context canceled")
		})
	}
}

func TestABodyEndsForGoodWithItsContext(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := open(ctx, &Request{URL: "x"}, host(t, func(_ abi.HTTPRequest, w io.Writer) {
		w.Write(head(abi.HTTPHead{Status: 200}))
		<-hang
	}))
	require.NoError(t, err)
	defer s.Body.Close()
	time.AfterFunc(50*time.Millisecond, cancel) // while the read waits, and has looked again
	for range 3 {
		_, err = s.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestKindOfAFailedRead(t *testing.T) {
	for err, want := range map[error]sys.Error{
		syscall.EFBIG:     {Kind: abi.TooLarge, Detail: "the answer's body is over the host's limit"},
		syscall.ETIMEDOUT: {Kind: abi.Deadline, Detail: "no complete answer in the time given"},
		syscall.EIO:       {Kind: abi.Unavailable, Detail: "the answer broke off"},
		io.ErrNoProgress:  {Kind: abi.Unavailable, Detail: "the answer broke off"},
	} {
		kind, detail := reason(&os.PathError{Op: "read", Path: "http", Err: err})
		require.Equal(t, want, sys.Error{Kind: kind, Detail: detail}, "%v", err)
	}
}

func TestADeadlineIsATimeout(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := do(ctx, &Request{URL: "x"}, func([]byte) int32 {
		t.Error("a call was started although the context had ended")
		return abi.Internal.Errno()
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, abi.Deadline, guest.KindOf(err))
	require.True(t, err.(interface{ Timeout() bool }).Timeout())
}

func TestABodyArrivesAsItIsSent(t *testing.T) {
	more := make(chan struct{})
	s, err := open(t.Context(), &Request{URL: "x"}, host(t, func(_ abi.HTTPRequest, w io.Writer) {
		w.Write(append(head(abi.HTTPHead{Status: 200}), "one"...))
		<-more
		w.Write([]byte("two"))
	}))
	require.NoError(t, err)
	buf := make([]byte, 16)
	n, err := s.Body.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "one", string(buf[:n]))
	close(more)
	rest, err := io.ReadAll(s.Body)
	require.NoError(t, err)
	require.Equal(t, "two", string(rest))
	require.NoError(t, s.Body.Close())
	_, err = s.Body.Read(buf)
	require.EqualError(t, err, "GET x: invalid: read of a closed body")
}

func TestCallsRunInParallel(t *testing.T) {
	const calls = 20
	var together sync.WaitGroup // no answer comes before all requests are there
	together.Add(calls)
	start := host(t, func(req abi.HTTPRequest, w io.Writer) {
		together.Done()
		together.Wait()
		w.Write(append(head(abi.HTTPHead{Status: 200}), req.Body...))
	})
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			want := strconv.Itoa(i)
			res, err := do(t.Context(), &Request{URL: "x", Body: []byte(want)}, start)
			if err != nil || string(res.Body) != want {
				t.Errorf("call %d: got %v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
}

func TestOutsideASandboxCallsAreDenied(t *testing.T) {
	_, err := Get(t.Context(), "https://example.org")
	require.Equal(t, abi.Denied, guest.KindOf(err))
}
