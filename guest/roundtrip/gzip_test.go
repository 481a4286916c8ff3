package roundtrip

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCompressionIsNetHTTPs has a server that compresses whatever it is asked, as
// some do, and compares with net/http's own transport.
func TestCompressionIsNetHTTPs(t *testing.T) {
	client, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		if r.URL.Path == "/plain" {
			io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		switch r.URL.Path {
		case "/not-gzip":
			io.WriteString(w, "this is no gzip")
		case "/empty":
		default:
			zip := gzip.NewWriter(w)
			io.WriteString(zip, strings.Repeat("long ", 1000))
			zip.Close()
		}
	})
	for name, tt := range map[string]struct {
		method, path string
		header       http.Header
	}{
		"nothing said":        {"GET", "/", nil},
		"a post":              {"POST", "/", nil},
		"a server of few":     {"GET", "/plain", nil},
		"no gzip in it":       {"GET", "/not-gzip", nil},
		"nothing in it":       {"GET", "/empty", nil},
		"head":                {"HEAD", "/", nil},
		"gzip by the author":  {"GET", "/", http.Header{"Accept-Encoding": {"gzip"}}},
		"none by the author":  {"GET", "/plain", http.Header{"Accept-Encoding": {"identity"}}},
		"a part of the bytes": {"GET", "/plain", http.Header{"Range": {"bytes=0-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(client *http.Client) (*http.Response, string, error) {
				req, err := http.NewRequest(tt.method, base+tt.path, nil)
				require.NoError(t, err)
				req.Header = tt.header.Clone()
				if req.Header == nil {
					req.Header = http.Header{}
				}
				res, err := client.Do(req)
				require.NoError(t, err)
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				res.Header.Del("Date")
				return res, string(body), err
			}
			want, wantBody, wantErr := ask(http.DefaultClient)
			got, gotBody, gotErr := ask(client)
			require.Equal(t, wantErr, gotErr)
			require.Equal(t, wantBody, gotBody)
			require.Equal(t, want.Header, got.Header)
			require.Equal(t, want.ContentLength, got.ContentLength)
			require.Equal(t, want.Uncompressed, got.Uncompressed)
		})
	}
}

// TestUnpackedBodyStaysClosed though the unpacker has bytes in hand.
func TestUnpackedBodyStaysClosed(t *testing.T) {
	client, base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		io.WriteString(zip, "short")
		zip.Close()
	})
	res, err := client.Get(base)
	require.NoError(t, err)
	_, err = io.ReadFull(res.Body, make([]byte, 2))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	n, err := res.Body.Read(make([]byte, 2))
	require.Zero(t, n)
	require.ErrorContains(t, err, "closed")
}
