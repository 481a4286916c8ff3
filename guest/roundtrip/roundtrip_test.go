package roundtrip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/guest"
	"spore/guest/fetch"
)

// viaNetwork plays the host: it makes the call with net/http, follows no
// redirect and hands the answer over as the ABI would.
func viaNetwork(ctx context.Context, req *fetch.Request) (*fetch.Stream, error) {
	out, err := http.NewRequestWithContext(ctx, req.Method, req.URL, bytes.NewReader(req.Body))
	if err != nil {
		return nil, err
	}
	for _, h := range req.Headers {
		out.Header.Add(h.Name, h.Value)
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(out)
	if err != nil {
		return nil, err
	}
	s := &fetch.Stream{Status: res.StatusCode, Body: res.Body}
	for name, values := range res.Header {
		for _, v := range values {
			s.Headers = append(s.Headers, guest.Pair{Name: strings.ToLower(name), Value: v})
		}
	}
	return s, nil
}

func serve(t *testing.T, handler http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return &http.Client{Transport: Transport{start: viaNetwork}}, srv.URL
}

func TestAClientSeesWhatTheServerSays(t *testing.T) {
	client, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusCreated)
		user, password, _ := r.BasicAuth()
		io.WriteString(w, strings.Join([]string{r.Method, r.URL.String(), user, password,
			strings.Join(r.Header["X-Twice"], ","), string(body)}, "|"))
	})
	req, err := http.NewRequest("POST", strings.Replace(base, "http://", "http://ada:pw@", 1)+"/p%2Fq?x=1#frag", strings.NewReader("payload"))
	require.NoError(t, err)
	req.Header["X-Twice"] = []string{"one", "two"}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "POST|/p%2Fq?x=1|ada|pw|one,two|payload", string(body))
	require.Equal(t, "201 Created", res.Status)
	require.Equal(t, []string{"a=1", "b=2"}, res.Header["Set-Cookie"])
	require.EqualValues(t, len(body), res.ContentLength)
	require.Nil(t, res.Trailer)
}

func TestAClientFollowsRedirectsItself(t *testing.T) {
	client, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
			return
		}
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.URL.Path+" "+string(body))
	})
	res, err := client.Post(base+"/old", "text/plain", strings.NewReader("again"))
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "/new again", string(body))
}

// The host refuses such bytes in a URL, which net/http's own transport sends as they are.
func TestAQueryOfAnyBytesIsSent(t *testing.T) {
	asked := map[string]string{
		"/?city=Zürich&x=%20":      "/?city=Z%C3%BCrich&x=%20",
		"/a?q=red wine&y=\\d|{\"}": "/a?q=red%20wine&y=%5Cd|{\"}",
		"/a/ü b":                   "/a/%C3%BC%20b",
		"/?":                       "/?",
	}
	for path, want := range asked {
		u, err := url.Parse("http://example.org" + path)
		require.NoError(t, err)
		require.Equal(t, "http://example.org"+want, target(u))
	}
	u := &url.URL{Scheme: "http", Host: "example.org", Path: "/", RawQuery: "\x00\r\n\x7f\xff"}
	require.Equal(t, "http://example.org/?%00%0D%0A%7F%FF", target(u))
}

func TestABodyStreams(t *testing.T) {
	more := make(chan struct{})
	client, base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "two")
	})
	res, err := client.Get(base)
	require.NoError(t, err)
	defer res.Body.Close()
	require.EqualValues(t, -1, res.ContentLength)
	buf := make([]byte, 3)
	_, err = io.ReadFull(res.Body, buf)
	require.NoError(t, err)
	require.Equal(t, "one", string(buf))
	close(more)
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "two", string(rest))
}

// closing is a body that says whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestAnswersWithoutABodyFreeTheirDescriptor(t *testing.T) {
	tests := []struct {
		name   string
		method string
		status int
		length string
		want   int64
	}{
		{"HEAD keeps the length it was told", "HEAD", 200, "12", 12},
		{"204 has none", "GET", 204, "", 0},
		{"304 has none whatever it says", "GET", 304, "12", 0},
		{"HEAD without a length", "HEAD", 200, "", -1},
		{"a length of zero", "GET", 200, "0", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := &closing{Reader: strings.NewReader("never read")}
			tr := Transport{start: func(context.Context, *fetch.Request) (*fetch.Stream, error) {
				return &fetch.Stream{Status: tt.status, Headers: guest.Pairs{{Name: "content-length", Value: tt.length}}, Body: body}, nil
			}}
			res, err := tr.RoundTrip(httptest.NewRequest(tt.method, "http://example.org/", nil))
			require.NoError(t, err)
			require.True(t, body.closed)
			require.Equal(t, http.NoBody, res.Body)
			require.Equal(t, tt.want, res.ContentLength)
		})
	}
}

func TestALengthThatIsNoneIsUnknown(t *testing.T) {
	for _, length := range []string{"", "-1", "+1", "1 ", "99999999999999999999", "x"} {
		res := incoming(httptest.NewRequest("GET", "/", nil), &fetch.Stream{
			Status:  200,
			Headers: guest.Pairs{{Name: "content-length", Value: length}},
			Body:    http.NoBody,
		})
		require.EqualValues(t, -1, res.ContentLength, length)
	}
}

func TestBodiesAreSentWholeUpToTheLimit(t *testing.T) {
	client, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		io.WriteString(w, strconv.FormatInt(n, 10))
	})
	for _, tt := range []struct {
		name   string
		size   int
		length int64
	}{
		{"with their length", 3, 3},
		{"of unknown length, as net/http has those of any reader", 3, 0},
		{"of unknown length by word", 3, -1},
		{"at the limit", abi.MaxBody, abi.MaxBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest("POST", base, struct{ io.Reader }{bytes.NewReader(make([]byte, tt.size))})
			require.NoError(t, err)
			req.ContentLength = tt.length
			res, err := client.Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(tt.size), string(got))
		})
	}
}

func TestRequestsThatCannotBeSentAreRefused(t *testing.T) {
	broken := errors.New("the file went away")
	tests := []struct {
		name    string
		body    io.Reader
		length  int64
		trailer http.Header
		text    string
	}{
		{"a body that fails", io.MultiReader(strings.NewReader("x"), failing{broken}), -1, nil, broken.Error()},
		{"a body shorter than its length", strings.NewReader("abc"), 5, nil, "roundtrip: ContentLength is 5, the body has 3 bytes"},
		{"trailers", strings.NewReader("abc"), 3, http.Header{"X-Sum": nil}, errTrailer.Error()},
		{"a body over the limit", bytes.NewReader(make([]byte, abi.MaxBody+1)), abi.MaxBody + 1, nil,
			"POST http://example.org/: too_large: the request's body is over the limit of 6291456 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := &closing{Reader: tt.body}
			req, err := http.NewRequest("POST", "http://example.org/?token=x", nil)
			require.NoError(t, err)
			req.Body, req.ContentLength, req.Trailer = body, tt.length, tt.trailer
			_, err = Transport{}.RoundTrip(req)
			require.EqualError(t, err, tt.text)
			require.True(t, body.closed)
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestHeadersOfTheConnectionAreLeftToTheHost(t *testing.T) {
	req := httptest.NewRequest("POST", "http://example.org/", nil)
	req.Header = http.Header{
		"Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "host": {"evil"},
		"Accept": {"a", "b"}, "X-Z": {"z"},
	}
	require.Equal(t, guest.Pairs{{Name: "Accept", Value: "a"}, {Name: "Accept", Value: "b"}, {Name: "X-Z", Value: "z"}}, headers(req))
}

func TestACanceledContextEndsTheCall(t *testing.T) {
	client, base := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", base, nil)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.ErrorIs(t, err, context.Canceled)
}

func TestErrorsKeepTheirKindInsideAClient(t *testing.T) {
	client := &http.Client{Transport: Transport{}}
	_, err := client.Get("https://example.org/a?token=secret")
	var wrapped *url.Error
	require.ErrorAs(t, err, &wrapped)
	require.Equal(t, abi.Denied, guest.KindOf(err))
	require.False(t, wrapped.Timeout())
}

func TestNativelyNetHTTPIsLeftAlone(t *testing.T) {
	require.IsType(t, new(http.Transport), http.DefaultTransport)
}

func TestCallsRunInParallel(t *testing.T) {
	const calls = 10
	var together sync.WaitGroup // no answer comes before all requests are there
	together.Add(calls)
	client, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait()
		io.WriteString(w, r.URL.Path)
	})
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			path := "/" + strconv.Itoa(i)
			res, err := client.Get(base + path)
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != path {
				t.Errorf("call %d: got %q, %v", i, body, err)
			}
		})
	}
	wg.Wait()
}
