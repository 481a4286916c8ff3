package bridge

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
	"spore/guest/lambda/internal/invocation"
)

// bridged runs lambda.Start, unchanged, on a Runtime API of its own and returns
// the handler that guest.Start would be given. The loop waits for a next event
// until the process ends, as it does on AWS.
func bridged(tb testing.TB, handler any) guest.Handler {
	tb.Helper()
	before := http.DefaultTransport
	tb.Cleanup(func() { http.DefaultTransport = before })
	handlers := make(chan guest.Handler)
	http.DefaultTransport = newTransport(newRuntimeAPI(func(h guest.Handler) { handlers <- h }))
	tb.Setenv("AWS_LAMBDA_RUNTIME_API", address)
	go lambda.Start(handler)
	return <-handlers
}

func TestTheLoopAnswersOneEventAfterTheOther(t *testing.T) {
	events := 0
	h := bridged(t, func(in map[string]int) (map[string]int, error) {
		if events++; in["n"]%2 == 1 {
			return nil, errors.New("odd")
		}
		return in, nil
	})
	for n := range 20 {
		body := `{"n":` + strconv.Itoa(n) + `}`
		trigger := abi.TriggerInvoke
		if n%3 == 0 {
			trigger = abi.TriggerWarmup
		}
		res, err := h(t.Context(), guest.Event{RequestID: "r", Trigger: trigger, Body: []byte(body)})
		if n%2 == 1 {
			var failure *invocation.Failure
			require.ErrorAs(t, err, &failure)
			require.Equal(t, "errorString", failure.ErrorType())
			require.EqualError(t, failure, "odd")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, guest.JSON([]byte(body)), res)
	}
	require.Equal(t, 20, events)
}

func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	h := bridged(t, func() (io.Reader, error) {
		return io.MultiReader(strings.NewReader(`{"half":`), iotest.ErrReader(errors.New("the disk is gone"))), nil
	})
	_, err := h(t.Context(), guest.Event{})
	require.EqualError(t, err, "the disk is gone")
}

func TestLargeEventsAndAnswersArriveWhole(t *testing.T) {
	h := bridged(t, func(in string) (string, error) { return in + in, nil })
	text := strings.Repeat("x", 1<<20)
	res, err := h(t.Context(), guest.Event{Body: []byte(`"` + text + `"`)})
	require.NoError(t, err)
	require.Equal(t, `"`+text+text+`"`, string(res.Body))
}

func TestReportsThatAreNoneAreErrors(t *testing.T) {
	require.ErrorContains(t, readFailure([]byte("?")), "read the function's error")
	require.ErrorContains(t, brokenOff(http.Header{"Lambda-Runtime-Function-Error-Body": {"?"}}), "decode the error of an answer")
	require.NoError(t, brokenOff(nil))
}

// TestClientsReachTheRuntimeAPI as older versions of the library do, which take
// http.DefaultTransport as it is, and newer ones, which clone it.
func TestClientsReachTheRuntimeAPI(t *testing.T) {
	transport := newTransport(newRuntimeAPI(nil))
	for name, tr := range map[string]*http.Transport{"the transport": transport, "a clone": transport.Clone()} {
		t.Run(name, func(t *testing.T) {
			defer tr.CloseIdleConnections()
			res, err := (&http.Client{Transport: tr}).Get("http://" + address + "/2020-01-01/extension/event/next")
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, http.StatusNotFound, res.StatusCode)
			_, err = io.ReadAll(res.Body)
			require.NoError(t, err)
		})
	}
}

func TestOtherCallsAreTheHosts(t *testing.T) {
	transport := newTransport(newRuntimeAPI(nil))
	for _, url := range []string{"http://example.org/", "https://example.org/", "http://127.0.0.1:9002/"} {
		_, err := (&http.Client{Transport: transport}).Get(url)
		require.Equal(t, guest.Denied, guest.KindOf(err), "%s: %v", url, err) // there is no host
		_, err = (&http.Client{Transport: transport.Clone()}).Get(url)
		require.ErrorContains(t, err, "use a roundtrip.Transport")
	}
}

func TestThereIsAlwaysADeadline(t *testing.T) {
	require.Equal(t, int64(5), deadline(guest.Event{DeadlineMS: 5}))
	require.WithinDuration(t, time.Now().Add(15*time.Minute), time.UnixMilli(deadline(guest.Event{})), time.Minute)
}
