package web

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"spore/abi"
	"spore/host/function"
)

const form = "Content-Type: application/x-www-form-urlencoded"

// slackHost is a server with one signed route. The secret and the clock can be
// changed between requests.
type slackHost struct {
	*running
	secret atomic.Pointer[string]
	now    atomic.Int64
	calls  atomic.Int32
}

func startSlack(t testing.TB) *slackHost {
	t.Helper()
	h := &slackHost{}
	opt := Options{
		Now: func() time.Time { return time.Unix(h.now.Load(), 999_999_999) },
		Secret: func(name string) ([]byte, error) {
			if name != "SIGNING" || h.secret.Load() == nil {
				return nil, errors.New("no secret " + name)
			}
			return []byte(*h.secret.Load()), nil
		},
		Invoker: invoker(func(_ context.Context, _ function.Ref, ev *abi.Event, reply function.Reply) error {
			h.calls.Add(1)
			reply(&abi.Result{Body: ev.Body}, false)
			return nil
		}),
	}
	b := bind("POST", "/slack", "stats")
	b.SlackSecret = "SIGNING"
	h.running = start(t, opt, b)
	return h
}

func (h *slackHost) configure(secret string, now int64) {
	h.secret.Store(&secret)
	h.now.Store(now)
}

func sign(secret, timestamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + timestamp + ":" + body))
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

type slackVector struct {
	ID, Description, Secret, Body string
	Headers                       map[string]string
	Now                           int64 `json:"now_unix"`
	Expect                        struct {
		Verified bool
		Reason   string
		Status   int `json:"http_status"`
	}
}

func slackVectors(t testing.TB) []slackVector {
	t.Helper()
	text, err := os.ReadFile("testdata/slack_signatures.json")
	require.NoError(t, err)
	var file struct{ Vectors []slackVector }
	require.NoError(t, json.Unmarshal(text, &file))
	require.NotEmpty(t, file.Vectors)
	return file.Vectors
}

func TestSlackVectors(t *testing.T) {
	for _, v := range slackVectors(t) {
		t.Run(v.ID+" "+v.Description, func(t *testing.T) {
			h := startSlack(t)
			h.configure(v.Secret, v.Now)
			var lines []string
			for name, value := range v.Headers {
				lines = append(lines, name+": "+value)
			}
			got := h.ask(t, request("POST", "/slack", v.Body, lines...))
			require.Equal(t, v.Expect.Status, got.status)
			switch {
			case strings.Contains(v.Body, "ssl_check=1"):
				require.Empty(t, got.body)
				require.Zero(t, h.calls.Load(), "a probe costs no sandbox")
			case v.Expect.Verified:
				require.Equal(t, v.Body, got.body)
				require.Equal(t, int32(1), h.calls.Load())
			default:
				h.requireRefusal(t, got, v.Expect.Status, v.Expect.Reason)
			}
			secretFree(t, h, v.Secret, v.Headers["X-Slack-Signature"])
		})
	}
}

// requireRefusal checks that the client learned nothing and no sandbox was used.
func (h *slackHost) requireRefusal(t *testing.T, got answer, status int, reason string) {
	t.Helper()
	require.Equal(t, status, got.status)
	require.Empty(t, got.body)
	require.Zero(t, h.calls.Load())
	require.Contains(t, h.log.String(), "reason="+reason)
	require.NotContains(t, got.header, reason)
}

// secretFree checks that neither the secret nor a signature is in the log.
func secretFree(t *testing.T, h *slackHost, planted ...string) {
	t.Helper()
	for _, s := range planted {
		if s != "" {
			require.NotContains(t, h.log.String(), s)
		}
	}
}

// TestSlackChecksInOrder: a request that is wrong in several ways is refused for
// the first of them.
func TestSlackChecksInOrder(t *testing.T) {
	const secret, body, now = "s3cret", "text=members", 1_700_000_000
	at := func(seconds int) string { return strconv.Itoa(now + seconds) }
	good := sign(secret, at(0), body)
	tests := map[string]struct {
		secret, timestamp, signature string
		status                       int
		reason                       string
	}{
		"no secret before everything":             {"", "", "", 500, "not_configured"},
		"a missing header before a bad signature": {secret, "", "nonsense", 401, "missing_header"},
		"a missing header before a bad timestamp": {secret, "nonsense", "", 401, "missing_header"},
		"the signature before the timestamp":      {secret, "nonsense", "nonsense", 401, "malformed_signature"},
		"a signature of another version":          {secret, at(0), "v1" + good[2:], 401, "malformed_signature"},
		"a signature without its version":         {secret, at(0), good[3:], 401, "malformed_signature"},
		"a signature in upper case":               {secret, at(0), "v0=" + strings.ToUpper(good[3:]), 401, "malformed_signature"},
		"a signature one digit short":             {secret, at(0), good[:len(good)-1], 401, "malformed_signature"},
		"a signature one byte short":              {secret, at(0), good[:len(good)-2], 401, "malformed_signature"},
		"a signature one byte long":               {secret, at(0), good + "00", 401, "malformed_signature"},
		"a timestamp that is text":                {secret, "soon", good, 401, "malformed_timestamp"},
		"a timestamp with a sign":                 {secret, "+" + at(0), sign(secret, "+"+at(0), body), 401, "malformed_timestamp"},
		"a negative timestamp":                    {secret, "-5", sign(secret, "-5", body), 401, "malformed_timestamp"},
		"a timestamp with a fraction":             {secret, at(0) + ".5", sign(secret, at(0)+".5", body), 401, "malformed_timestamp"},
		"a timestamp in hexadecimal":              {secret, "0x65", sign(secret, "0x65", body), 401, "malformed_timestamp"},
		"a timestamp that overflows":              {secret, strings.Repeat("9", 40), sign(secret, strings.Repeat("9", 40), body), 401, "malformed_timestamp"},
		"a timestamp in milliseconds":             {secret, at(0) + "000", sign(secret, at(0)+"000", body), 401, "stale_timestamp"},
		"301 s old, and wrong":                    {secret, at(-301), good, 401, "stale_timestamp"},
		"301 s old, and right":                    {secret, at(-301), sign(secret, at(-301), body), 401, "stale_timestamp"},
		"301 s early, and right":                  {secret, at(301), sign(secret, at(301), body), 401, "stale_timestamp"},
		"zero":                                    {secret, "0", sign(secret, "0", body), 401, "stale_timestamp"},
		"the signature of another time":           {secret, at(1), good, 401, "signature_mismatch"},
		"the signature of another body":           {secret, at(0), sign(secret, at(0), body+" "), 401, "signature_mismatch"},
		"the signature of another secret":         {secret, at(0), sign("other", at(0), body), 401, "signature_mismatch"},
		"another spelling of the time":            {secret, "0" + at(0), good, 401, "signature_mismatch"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startSlack(t)
			h.configure(test.secret, now)
			got := h.ask(t, request("POST", "/slack", body, form, "X-Slack-Request-Timestamp: "+test.timestamp, "X-Slack-Signature: "+test.signature))
			h.requireRefusal(t, got, test.status, test.reason)
		})
	}
	for _, seconds := range []int{-300, -299, 0, 299, 300} {
		h := startSlack(t)
		h.configure(secret, now)
		got := h.ask(t, request("POST", "/slack", body, form, "X-Slack-Request-Timestamp: "+at(seconds), "X-Slack-Signature: "+sign(secret, at(seconds), body)))
		require.Equal(t, 200, got.status, seconds)
	}
}

func TestSlackWithoutAWayToSecrets(t *testing.T) {
	for name, secret := range map[string]func(string) ([]byte, error){
		"none":           nil,
		"one that fails": func(string) ([]byte, error) { return nil, errors.New("planted cause") },
		"an empty one":   func(string) ([]byte, error) { return []byte{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := bind("POST", "/slack", "f")
			b.SlackSecret = "SIGNING"
			h := start(t, Options{Secret: secret, Invoker: failing(errors.New("not reached"))}, b)
			got := h.ask(t, request("POST", "/slack", "a=b", form))
			require.Equal(t, 500, got.status)
			require.Empty(t, got.body)
			require.Contains(t, h.log.String(), "reason=not_configured")
		})
	}
}

// TestSlackRandomVectors signs random bytes with random secrets at random times.
func TestSlackRandomVectors(t *testing.T) {
	h := startSlack(t)
	c := h.dial(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		body, secret := randomBytes(random, 1+random.IntN(2000)), string(randomBytes(random, 1+random.IntN(100)))
		now := random.Int64N(4_000_000_000) + 1000
		age := random.Int64N(1201) - 600
		h.configure(secret, now)
		timestamp := strconv.FormatInt(now-age, 10)
		before := h.calls.Load()
		got := c.send(request("POST", "/slack", string(body), "X-Slack-Request-Timestamp: "+timestamp, "X-Slack-Signature: "+sign(secret, timestamp, string(body)))).read("POST")
		if age < -300 || age > 300 {
			require.Equal(t, 401, got.status, "age %d", age)
			require.Equal(t, before, h.calls.Load())
			continue
		}
		require.Equal(t, 200, got.status, "age %d", age)
		require.True(t, bytes.Equal(body, []byte(got.body)))
	}
}

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// TestSlackFlippedBits flips each bit of body, timestamp and signature.
func TestSlackFlippedBits(t *testing.T) {
	v := slackVectors(t)[0]
	parts := [3][]byte{[]byte(v.Body), []byte(v.Headers["X-Slack-Request-Timestamp"]), []byte(v.Headers["X-Slack-Signature"])}
	reason := func() string {
		return slackReason([]byte(v.Secret), string(parts[1]), string(parts[2]), parts[0], time.Unix(v.Now, 0))
	}
	require.Empty(t, reason())
	for i, part := range parts {
		for bit := range len(part) * 8 {
			part[bit/8] ^= 1 << (bit % 8)
			require.NotEmpty(t, reason(), "part %d, bit %d: %q", i, bit, part)
			part[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestSlackProbes(t *testing.T) {
	signed := func(body string, lines ...string) string {
		return request("POST", "/slack", body, append(lines, "X-Slack-Request-Timestamp: 1000", "X-Slack-Signature: "+sign("s", "1000", body))...)
	}
	probe := "token=x&ssl_check=1"
	tests := map[string]struct {
		request string
		status  int
		calls   int32
	}{
		"unsigned":                         {request("POST", "/slack", probe, form), 200, 0},
		"signed":                           {signed(probe, form), 200, 0},
		"with a charset":                   {request("POST", "/slack", probe, form+"; charset=utf-8"), 200, 0},
		"first in the form":                {request("POST", "/slack", "ssl_check=1&token=x", form), 200, 0},
		"another value is no probe":        {request("POST", "/slack", "ssl_check=10", form), 401, 0},
		"another name is no probe":         {request("POST", "/slack", "xssl_check=1", form), 401, 0},
		"typed by a user it is no probe":   {signed("text="+url.QueryEscape("&ssl_check=1&"), form), 200, 1},
		"an event in JSON is no probe":     {signed(`{"text":"&ssl_check=1&"}`, "Content-Type: application/json"), 200, 1},
		"without a content type it is not": {request("POST", "/slack", probe), 401, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startSlack(t)
			h.configure("s", 1000)
			got := h.ask(t, test.request)
			require.Equal(t, test.status, got.status)
			require.Equal(t, test.calls, h.calls.Load())
			require.Equal(t, test.calls == 0, got.body == "")
		})
	}
}

func TestSlackBodyLimit(t *testing.T) {
	for size, status := range map[int]int{64 << 10: 200, 64<<10 + 1: 413, 1 << 20: 413} {
		h := startSlack(t)
		h.configure("s", 1000)
		body := strings.Repeat("x", size)
		got := h.ask(t, request("POST", "/slack", body, form, "X-Slack-Request-Timestamp: 1000", "X-Slack-Signature: "+sign("s", "1000", body)))
		require.Equal(t, status, got.status, size)
		require.Equal(t, status == 200, h.calls.Load() == 1, size)
	}
}

// TestSlackOtherRoutesAreOpen: a route without a secret is not verified.
func TestSlackOtherRoutesAreOpen(t *testing.T) {
	h := start(t, Options{Invoker: invoker(echo)}, everything...)
	require.Equal(t, 200, h.ask(t, request("POST", "/slack", "ssl_check=1", form)).status)
}
