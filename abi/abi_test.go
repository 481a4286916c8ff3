package abi

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKinds pins the numbers and names of README.md section 5: kinds are
// appended, never renumbered.
func TestKinds(t *testing.T) {
	names := []string{
		"none", "internal", "invalid", "not_found", "denied", "overloaded", "deadline", "trapped", "exited",
		"out_of_memory", "too_large", "out_of_order", "no_answer", "guest_error", "unavailable", "not_ready", "conflict",
	}
	require.Len(t, kindNames, len(names))
	require.Equal(t, Kind(16), Conflict)
	for n, name := range names {
		require.Equal(t, name, Kind(n).String())
		require.Equal(t, int32(-n), Kind(n).Errno())
		require.Equal(t, Kind(n), KindOfErrno(int32(-n)))
	}
}

func TestUnknownKinds(t *testing.T) {
	require.Equal(t, "unknown", (Conflict + 1).String())
	require.Equal(t, "unknown", Kind(200).String())
	require.Equal(t, Kind(200), KindOfErrno(-200))
	require.Equal(t, Kind(255), KindOfErrno(-255))
	require.Equal(t, Internal, KindOfErrno(-256))
	require.Equal(t, Internal, KindOfErrno(math.MinInt32))
	require.Equal(t, None, KindOfErrno(0))
	require.Equal(t, None, KindOfErrno(math.MaxInt32))
}

// TestLimits pins the figures of README.md section 6.
func TestLimits(t *testing.T) {
	limits := map[string][2]int{
		"body": {MaxBody, 6291456}, "inline body": {MaxInlineBody, 65536}, "head": {MaxHead, 131072}, "pairs": {MaxPairs, 1000},
		"log record": {MaxLogRecord, 65536}, "secret name": {MaxSecretName, 256}, "request id": {MaxRequestID, 128},
		"open calls": {MaxOpenCalls, 64}, "key": {MaxKVKey, 512}, "value": {MaxKVValue, 1048576}, "keys": {MaxKVKeys, 1000}, "entropy": {EntropySize, 32}, "header": {HeaderSize, 8},
	}
	for name, l := range limits {
		require.Equal(t, l[1], l[0], name)
	}
	require.Equal(t, "spore1", Module)
}

func TestPairsGet(t *testing.T) {
	pairs := Pairs{{"content-type", "a"}, {"X-Two", ""}, {"x-two", "second"}}
	require.Equal(t, "a", pairs.Get("Content-Type"))
	require.Equal(t, "", pairs.Get("x-two"), "the first one counts, even when it is empty")
	require.True(t, pairs.Has("X-TWO"))
	require.False(t, pairs.Has("x-three"))
	require.Equal(t, "", pairs.Get("x-three"))
	require.True(t, Pairs{{"AZ", ""}}.Has("az"))
	require.False(t, Pairs{{"@", ""}}.Has("`"), "only letters have two cases")
	require.False(t, Pairs{{"[", ""}}.Has("{"))
}

func TestFrameLength(t *testing.T) {
	frame := AppendHTTPHead(nil, &HTTPHead{Status: 200, Message: "x"})
	require.Equal(t, len(frame), FrameLength(frame[:HeaderSize]))
}

// TestAppendKeepsWhatIsThere: a frame behind other bytes has its own length.
func TestAppendKeepsWhatIsThere(t *testing.T) {
	b := AppendResult([]byte("before"), &Result{Status: 204})
	require.Equal(t, "before", string(b[:6]))
	var res Result
	require.NoError(t, res.Decode(b[6:]))
	require.Equal(t, uint32(204), res.Status)
}

func TestAppendEventLeavesLongBodiesOut(t *testing.T) {
	ev := Event{Body: make([]byte, MaxInlineBody+1)}
	var got Event
	require.NoError(t, got.Decode(AppendEvent(nil, &ev)))
	require.Equal(t, uint32(MaxInlineBody+1), got.BodySize)
	require.Empty(t, got.Body)
}

// TestDecodeBorrows would fail if a decoder copied: the value changes with the
// bytes it was decoded from.
func TestDecodeBorrows(t *testing.T) {
	frame := AppendResult(nil, &Result{ContentType: "text/a", Headers: Pairs{{"n", "v"}}, Body: []byte("body")})
	var res Result
	require.NoError(t, res.Decode(frame))
	for i := range frame {
		frame[i] = 'z'
	}
	require.Equal(t, Result{ContentType: "zzzzzz", Headers: Pairs{{"z", "z"}}, Body: []byte("zzzz")}, res)
}
