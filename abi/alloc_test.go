package abi

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDecodersIgnoreMadeUpLengths puts huge numbers at every place of every
// small vector. All of a vector's variants together may allocate a fraction of
// what a single one asks for.
func TestDecodersIgnoreMadeUpLengths(t *testing.T) {
	const maxVector, maxAlloc = 1 << 10, 16 << 20
	for _, f := range vectorFiles(t) {
		for _, v := range f.Vectors {
			b := unhex(t, v.Bytes...)
			if len(b) > maxVector {
				continue
			}
			got := allocated(func() { decodeWithHugeLengths(f.Frame, b) })
			require.Less(t, got, uint64(maxAlloc), "%s/%s", f.Frame, v.Name)
		}
	}
}

func decodeWithHugeLengths(frame string, b []byte) {
	hostile := make([]byte, len(b))
	for at := 0; at+4 <= len(b); at++ {
		for _, huge := range []uint32{0xffffffff, 0x7fffffff, 1 << 30} {
			copy(hostile, b)
			binary.LittleEndian.PutUint32(hostile[at:], huge)
			decode(frame, hostile)
		}
	}
}

// TestDecodersAllocateInProportion decodes the frames that cost most for their
// size: as many fields, and as many pairs, as a frame can hold.
func TestDecodersAllocateInProportion(t *testing.T) {
	// Times the frame: a Field takes 32 bytes and a field on the wire 6, and a
	// slice that grows by a quarter at a time leaves four times its size behind.
	const most = 32
	fields := &Result{Unknown: make([]Field, 20_000)}
	for i := range fields.Unknown {
		fields.Unknown[i].Type = uint16(1000 + i)
	}
	pairs := &Result{Headers: make(Pairs, MaxPairs)}
	keys := AppendKVAnswer(nil, &KVAnswer{Keys: make([]string, MaxKVKeys)})
	require.Less(t, allocated(func() { decode("kv_answer", keys) }), uint64(most*len(keys)), "keys")
	for name, res := range map[string]*Result{"unknown fields": fields, "pairs": pairs} {
		b := AppendResult(nil, res)
		require.Less(t, allocated(func() { decode("result", b) }), uint64(most*len(b)), name)
	}
	over := AppendResult(nil, &Result{Headers: make(Pairs, 15_000)})
	require.Less(t, allocated(func() { decode("result", over) }), uint64(len(over)), "pairs over the limit")
}

// decode decodes without encoding again.
func decode(frame string, b []byte) {
	var ev Event
	var res Result
	var e Error
	var req HTTPRequest
	var head HTTPHead
	var rec LogRecord
	var kv KVRequest
	var answer KVAnswer
	_ = map[string]func([]byte) error{
		"event": ev.Decode, "result": res.Decode, "error": e.Decode,
		"http_request": req.Decode, "http_head": head.Decode, "log_record": rec.Decode,
		"kv_request": kv.Decode, "kv_answer": answer.Decode,
	}[frame](b)
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// sampleEvent is a small webhook as a browser or a service sends it.
func sampleEvent() *Event {
	return &Event{
		RequestID: "6f1ed1e9-2d0b-4a0c-9c39-0d2b7b2b6c01", DeadlineMS: 1700000010000, ResponseDeadlineMS: 1700000002500,
		Function: "stats", Version: "7", Trigger: TriggerHTTP, ContentType: "application/json", Entropy: [EntropySize]byte{1},
		Headers: Pairs{
			{"host", "example.org"}, {"user-agent", "curl/8.5.0"}, {"accept", "*/*"},
			{"content-type", "application/json"}, {"content-length", "1024"}, {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		},
		Method: "POST", Path: "/stats/members", RawQuery: "page=2", Params: Pairs{{"name", "members"}},
		ClientAddr: "192.0.2.1:40000", Body: make([]byte, 1024),
	}
}

func TestAppendEventIntoSizedBufferAllocatesNothing(t *testing.T) {
	ev := sampleEvent()
	buf := make([]byte, 0, len(AppendEvent(nil, ev)))
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendEvent(buf, ev) }))
}

func BenchmarkAppendEvent(b *testing.B) {
	ev := sampleEvent()
	buf := AppendEvent(nil, ev)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], ev)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	frame := AppendEvent(nil, sampleEvent())
	var ev Event
	b.ReportAllocs()
	for b.Loop() {
		if err := ev.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResult(b *testing.B) {
	res := &Result{Status: 200, ContentType: "application/json", Body: make([]byte, 1024)}
	buf := AppendResult(nil, res)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendResult(buf[:0], res)
	}
}

func BenchmarkDecodeResult(b *testing.B) {
	frame := AppendResult(nil, &Result{Status: 200, ContentType: "application/json", Body: make([]byte, 1024)})
	var res Result
	b.ReportAllocs()
	for b.Loop() {
		if err := res.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}
