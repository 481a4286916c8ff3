package abi

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzEvent(f *testing.F)       { fuzz(f, "event") }
func FuzzResult(f *testing.F)      { fuzz(f, "result") }
func FuzzError(f *testing.F)       { fuzz(f, "error") }
func FuzzHTTPRequest(f *testing.F) { fuzz(f, "http_request") }
func FuzzHTTPHead(f *testing.F)    { fuzz(f, "http_head") }
func FuzzLogRecord(f *testing.F)   { fuzz(f, "log_record") }
func FuzzKVRequest(f *testing.F)   { fuzz(f, "kv_request") }
func FuzzKVAnswer(f *testing.F)    { fuzz(f, "kv_answer") }

// fuzz holds a decoder to its one property: what it accepts it encodes again to
// the same bytes, unknown fields included, and when it refuses the value is zero.
func fuzz(f *testing.F, frame string) {
	const maxSeed = 4 << 10 // the fuzzer slows down on the vectors that test limits
	for _, file := range vectorFiles(f) {
		for _, v := range file.Vectors {
			if b := unhex(f, v.Bytes...); len(b) <= maxSeed {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		value, again, err := codecs[frame](b)
		switch {
		case err != nil && !reflect.ValueOf(value).IsZero():
			t.Fatalf("refused with %q, but the value is %+v", err, value)
		case err == nil && !bytes.Equal(again, b):
			t.Fatalf("got %x, want %x", again, b)
		}
	})
}
