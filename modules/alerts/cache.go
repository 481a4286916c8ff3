package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"spore/guest"
)

// store keeps bytes between requests. Its errors are those of package kv. A nil
// store keeps nothing.
type store interface {
	get(ctx context.Context, key string) (value []byte, revision int64, err error)
	put(ctx context.Context, key string, value []byte, expiry time.Duration) error
	// update is put for a key at revision, 0 for one that is not there.
	update(ctx context.Context, key string, value []byte, revision int64, expiry time.Duration) error
	// forget removes the keys that begin with prefix.
	forget(ctx context.Context, prefix string) error
}

// withRoom is write, before which kept answers make room if there is none: they lie
// beside what must be remembered.
func withRoom(ctx context.Context, s store, write func() error) error {
	err := write()
	if guest.KindOf(err) != guest.TooLarge {
		return err
	}
	if err := s.forget(ctx, cachePrefix); err != nil {
		return err
	}
	return write()
}

// kept is an upstream's answer as it is kept: its good answers alone are.
type kept struct {
	FreshUntil   int64  `json:"fresh_until"` // Unix seconds
	LastModified string `json:"last_modified,omitempty"`
	Status       int    `json:"status"`
	Body         []byte `json:"body"`
}

// How long answers are kept: those that may be asked about with If-Modified-Since
// for a while longer than they are fresh, and none for more than a day.
const (
	longestFresh = 24 * time.Hour
	staleFor     = 24 * time.Hour
)

// maxKept bounds what is kept of an answer, in bytes; in base64 it takes a third more,
// and a value takes a mebibyte.
const maxKept = 700 << 10

// cached is fetch, except that an answer which is fresh by its own headers is not
// asked for again, and one that was is asked for only if it was modified. What a
// caller sees is the same either way. A store that fails is as none.
func (s *service) cached(ctx context.Context, url string) (int, guest.Pairs, []byte, error) {
	if s.store == nil {
		return s.fetch(ctx, url, nil)
	}
	key := cacheKey(url)
	var old kept
	if value, _, err := s.store.get(ctx, key); err == nil && json.Unmarshal(value, &old) != nil {
		old = kept{}
	}
	if left := old.FreshUntil - s.now().Unix(); left > 0 && left <= int64(longestFresh/time.Second) { // more: our clock was set back
		return old.Status, nil, old.Body, nil
	}
	var condition guest.Pairs
	if old.LastModified != "" {
		condition = guest.Pairs{{Name: "if-modified-since", Value: old.LastModified}}
	}
	status, headers, body, err := s.fetch(ctx, url, condition)
	if err != nil {
		return status, headers, body, err
	}
	if status == 304 && condition != nil {
		status, body = old.Status, old.Body
		if !headers.Has("last-modified") {
			headers = append(headers, guest.Pair{Name: "last-modified", Value: old.LastModified})
		}
	}
	s.keep(ctx, key, status, headers, body)
	return status, headers, body, nil
}

const cachePrefix = "http/"

// cacheKey does not show the URL: it may hold a service's key.
func cacheKey(url string) string {
	sum := sha256.Sum256([]byte(url))
	return cachePrefix + hex.EncodeToString(sum[:])
}

func (s *service) keep(ctx context.Context, key string, status int, headers guest.Pairs, body []byte) {
	fresh := freshness(headers)
	modified := headers.Get("last-modified")
	if status != 200 || len(body) > maxKept || fresh < 0 || fresh == 0 && modified == "" {
		return
	}
	k := kept{FreshUntil: s.now().Add(fresh).Unix(), LastModified: modified, Status: status, Body: body}
	_ = s.store.put(ctx, key, encode(k), fresh+staleFor)
}

// freshness is how long an answer may be used without asking again, by RFC 9111: a
// max-age less the Age, else Expires less Date, which needs no clock of ours. It is
// negative for an answer that must not be kept.
func freshness(headers guest.Pairs) time.Duration {
	var seconds int64
	limited := false
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "cache-control") {
			continue
		}
		for directive := range strings.SplitSeq(strings.ToLower(h.Value), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch name {
			case "no-store":
				return -1
			case "no-cache":
				return 0
			case "max-age":
				n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
				limited = true
				if err == nil {
					seconds = n
				}
			}
		}
	}
	if limited {
		age, _ := strconv.ParseInt(headers.Get("age"), 10, 32)
		seconds -= max(age, 0)
	} else {
		expires, err := httpTime(headers.Get("expires"))
		date, err2 := httpTime(headers.Get("date"))
		if err == nil && err2 == nil {
			seconds = int64(expires.Sub(date) / time.Second)
		}
	}
	return min(max(time.Duration(seconds)*time.Second, 0), longestFresh)
}

func httpTime(s string) (time.Time, error) {
	return time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
}
