package abi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// errorNames are the names that the vectors and README.md section 4 use.
var errorNames = map[string]error{
	"truncated": ErrTruncated, "trailing": ErrTrailing, "frame_kind": ErrFrameKind, "reserved": ErrReserved,
	"order": ErrOrder, "zero_field": ErrZeroField, "field_size": ErrFieldSize, "pairs": ErrPairs, "too_large": ErrTooLarge,
}

// codecs decode a frame and encode the decoded value again.
var codecs = map[string]func(b []byte) (value any, again []byte, err error){
	"event":        codec(AppendEvent),
	"result":       codec(AppendResult),
	"error":        codec(AppendError),
	"http_request": codec(AppendHTTPRequest),
	"http_head":    codec(AppendHTTPHead),
	"log_record":   codec(AppendLogRecord),
	"kv_request":   codec(AppendKVRequest),
	"kv_answer":    codec(AppendKVAnswer),
}

type decoder[T any] interface {
	*T
	Decode([]byte) error
}

func codec[T any, P decoder[T]](encode func([]byte, P) []byte) func([]byte) (any, []byte, error) {
	return func(b []byte) (any, []byte, error) {
		var v T
		err := P(&v).Decode(b)
		if err != nil {
			return v, nil, err
		}
		return v, encode(nil, &v), nil
	}
}

type vectorFile struct {
	Frame   string
	Vectors []vector
}

type vector struct {
	Name  string
	Bytes []string
	Value json.RawMessage
	Error string
}

func TestVectors(t *testing.T) {
	files := vectorFiles(t)
	require.Len(t, files, len(codecs), "one file for each kind of frame")
	for _, f := range files {
		require.NotEmpty(t, f.Vectors, f.Frame)
		for _, v := range f.Vectors {
			t.Run(f.Frame+"/"+v.Name, func(t *testing.T) { v.check(t, codecs[f.Frame]) })
		}
	}
}

func (v *vector) check(t *testing.T, codec func([]byte) (any, []byte, error)) {
	b := unhex(t, v.Bytes...)
	value, again, err := codec(b)
	if v.Error != "" {
		require.Contains(t, errorNames, v.Error)
		require.ErrorIs(t, err, errorNames[v.Error])
		require.Zero(t, value)
		return
	}
	require.NoError(t, err)
	require.True(t, bytes.Equal(again, b), "encoded again it is %x", again)
	var want map[string]any
	require.NoError(t, json.Unmarshal(v.Value, &want))
	require.Equal(t, unfold(t, want), view(value))
}

// TestVectorsNameEveryError keeps the vectors complete: every error has one.
func TestVectorsNameEveryError(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range vectorFiles(t) {
		for _, v := range f.Vectors {
			seen[v.Error] = true
		}
	}
	for name := range errorNames {
		require.True(t, seen[name], "no vector ends in %q", name)
	}
}

func vectorFiles(t testing.TB) []vectorFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths, "testdata holds no vectors")
	files := make([]vectorFile, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		d := json.NewDecoder(bytes.NewReader(text))
		require.NoError(t, d.Decode(&files[i]), path)
		require.Contains(t, codecs, files[i].Frame, path)
	}
	return files
}

// unhex joins the chunks of a vector: hex digits and spaces, and "*N" at the
// end of a chunk that stands for N copies of it.
func unhex(t testing.TB, chunks ...string) []byte {
	t.Helper()
	var b []byte
	for _, chunk := range chunks {
		digits, times, repeated := strings.Cut(chunk, "*")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		require.NoError(t, err)
		n := 1
		if repeated {
			n, err = strconv.Atoi(times)
			require.NoError(t, err)
		}
		b = append(b, bytes.Repeat(part, n)...)
	}
	return b
}

// view is a decoded value as the vectors write it: fields by name, zero values
// left out, bytes as hex digits, pairs as lists of two. It goes by reflection
// so that a field added to a type cannot be missing here.
func view(value any) map[string]any {
	v := reflect.ValueOf(value)
	out := map[string]any{}
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			out[v.Type().Field(i).Name] = viewField(f.Interface())
		}
	}
	return out
}

func viewField(field any) any {
	switch f := field.(type) {
	case string:
		return f
	case []byte:
		return hex.EncodeToString(f)
	case [EntropySize]byte:
		return hex.EncodeToString(f[:])
	case []string:
		list := make([]any, len(f))
		for i := range f {
			list[i] = f[i]
		}
		return list
	case Pairs:
		list := make([]any, len(f))
		for i, p := range f {
			list[i] = []any{p.Name, p.Value}
		}
		return list
	case []Field:
		list := make([]any, len(f))
		for i := range f {
			list[i] = map[string]any{"Type": float64(f[i].Type), "Data": hex.EncodeToString(f[i].Data)}
		}
		return list
	}
	return reflect.ValueOf(field).Convert(reflect.TypeFor[float64]()).Float()
}

// unfold replaces "00*3" by "000000" in the places where vectors use it.
func unfold(t testing.TB, want map[string]any) map[string]any {
	if body, ok := want["Body"].(string); ok {
		want["Body"] = hex.EncodeToString(unhex(t, body))
	}
	unknown, _ := want["Unknown"].([]any)
	for _, f := range unknown {
		f := f.(map[string]any)
		f["Data"] = hex.EncodeToString(unhex(t, f["Data"].(string)))
	}
	return want
}
