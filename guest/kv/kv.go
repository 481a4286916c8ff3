// Package kv keeps values from one request to the next, and between requests that
// run at the same time. A function has one bucket of keys, which no other function
// sees; kv = "16MiB" in functions.toml grants it and bounds its bytes.
//
//	entry, err := kv.Get(ctx, "visits")
//	if errors.Is(err, kv.ErrNotFound) { … }
//	_, err = kv.Update(ctx, "visits", next, entry.Revision, 0)   // ErrConflict: somebody was faster
//
// A key is any UTF-8 of 1 to abi.MaxKVKey bytes, a value at most abi.MaxKVValue
// bytes. What a write returned for is on disk. A write that ended with guest.Deadline
// or guest.Unavailable may have happened or not: read the key to know.
//
// Calls may overlap. During initialisation and in samples they are refused, and
// outside a sandbox: guest.Denied.
package kv

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"spore/abi"
	"spore/guest/internal/descriptor"
	"spore/guest/internal/sys"
)

// Entry is what a key holds.
type Entry struct {
	Value    []byte
	Revision int64     // rises with every write, never 0
	Expires  time.Time // zero: never
}

// Get returns what key holds; a key that is not there or has expired is ErrNotFound.
func Get(ctx context.Context, key string) (Entry, error) {
	a, err := do(ctx, "get", &abi.KVRequest{Op: abi.KVGet, Key: key}, sys.KVStart)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Value: a.Body, Revision: a.Revision}
	if a.ExpiresMS != 0 {
		e.Expires = time.UnixMilli(a.ExpiresMS)
	}
	return e, nil
}

// Put sets key, whatever it holds, and returns its new revision. The value expires
// after expiry, in milliseconds rounded up; 0 means never.
func Put(ctx context.Context, key string, value []byte, expiry time.Duration) (revision int64, err error) {
	return write(ctx, "put", &abi.KVRequest{Op: abi.KVPut, Key: key, Body: value}, expiry)
}

// Create is Put for a key that is not there or has expired; else it is ErrConflict.
// Of several that create a key at the same time one succeeds.
func Create(ctx context.Context, key string, value []byte, expiry time.Duration) (revision int64, err error) {
	return write(ctx, "create", &abi.KVRequest{Op: abi.KVUpdate, Key: key, Body: value}, expiry)
}

// Update is Put for a key that is at revision, as an Entry or an earlier write has
// it; else it is ErrConflict. Revision 0 stands for a key that is not there.
func Update(ctx context.Context, key string, value []byte, revision int64, expiry time.Duration) (int64, error) {
	return write(ctx, "update", &abi.KVRequest{Op: abi.KVUpdate, Key: key, Body: value, Revision: revision}, expiry)
}

func write(ctx context.Context, verb string, req *abi.KVRequest, expiry time.Duration) (int64, error) {
	req.ExpiryMS = int64(expiry / time.Millisecond)
	if expiry%time.Millisecond > 0 {
		req.ExpiryMS++ // a short one must not become zero, which means never
	} else if expiry < 0 {
		req.ExpiryMS = math.MinInt64 // refused by the host
	}
	a, err := do(ctx, verb, req, sys.KVStart)
	return a.Revision, err
}

// Delete removes key. That there is none is fine.
func Delete(ctx context.Context, key string) error {
	_, err := do(ctx, "delete", &abi.KVRequest{Op: abi.KVDelete, Key: key}, sys.KVStart)
	return err
}

// DeleteAt removes key if it is at revision; else it is ErrConflict.
func DeleteAt(ctx context.Context, key string, revision int64) error {
	if revision == 0 { // which would mean any
		return &sys.Error{Op: describe("delete", key), Kind: abi.Invalid, Detail: "revision 0"}
	}
	_, err := do(ctx, "delete", &abi.KVRequest{Op: abi.KVDelete, Key: key, Revision: revision}, sys.KVStart)
	return err
}

// List returns all keys that begin with prefix, in the order of their bytes. Keys
// that others write meanwhile may be in it or not.
func List(ctx context.Context, prefix string) ([]string, error) {
	var all []string
	for after, more := "", true; more; {
		page, m, err := ListPage(ctx, prefix, after, 0)
		if err != nil {
			return nil, err
		}
		all, more = append(all, page...), m && len(page) > 0
		if more {
			after = page[len(page)-1]
		}
	}
	return all, nil
}

// ListPage returns the first keys behind after, at most limit of them; 0 means
// abi.MaxKVKeys, and pages may be shorter. more says that others follow.
func ListPage(ctx context.Context, prefix, after string, limit int) (keys []string, more bool, err error) {
	req := &abi.KVRequest{Op: abi.KVList, Key: prefix, After: after, Limit: uint32(max(0, min(limit, abi.MaxKVKeys)))}
	a, err := do(ctx, "list", req, sys.KVStart)
	return a.Keys, a.More != 0, err
}

// maxAnswer bounds what is allocated for an answer.
const maxAnswer = abi.MaxHead + abi.MaxKVValue

func do(ctx context.Context, verb string, req *abi.KVRequest, start func(frame []byte) int32) (abi.KVAnswer, error) {
	op := describe(verb, req.Key)
	fail := func(kind abi.Kind, detail string, cause error) (abi.KVAnswer, error) {
		return abi.KVAnswer{}, &sys.Error{Op: op, Kind: kind, Detail: detail, Cause: cause}
	}
	if len(req.Body) > abi.MaxKVValue {
		return fail(abi.TooLarge, "the value is over the limit of "+strconv.Itoa(abi.MaxKVValue)+" bytes", nil)
	}
	if err := ctx.Err(); err != nil {
		return abi.KVAnswer{}, sys.Ended(op, err)
	}
	fd := start(abi.AppendKVRequest(nil, req))
	if fd < 0 {
		kind := abi.KindOfErrno(fd)
		return fail(kind, sys.Detail(kind), sentinel(kind))
	}
	f := descriptor.Open(ctx, fd, "kv")
	defer f.Close()
	frame, err := descriptor.ReadFrame(f, maxAnswer)
	if cause := ctx.Err(); err != nil && cause != nil {
		return abi.KVAnswer{}, sys.Ended(op, cause)
	}
	var a abi.KVAnswer
	if err == nil {
		err = a.Decode(frame)
	}
	if err != nil {
		return fail(abi.Internal, "the answer: "+err.Error(), err)
	}
	if a.Kind != abi.None {
		return fail(a.Kind, a.Message, sentinel(a.Kind))
	}
	return a, nil
}

// What is asked for most often, with errors.Is; guest.KindOf tells the rest.
var (
	ErrNotFound = errors.New("no such key")
	ErrConflict = errors.New("the key is at another revision")
)

func sentinel(kind abi.Kind) error {
	switch kind {
	case abi.NotFound:
		return ErrNotFound
	case abi.Conflict:
		return ErrConflict
	}
	return nil
}

func describe(verb, key string) string {
	const limit = 100
	if len(key) > limit {
		key = key[:limit]
	}
	return "kv " + verb + " " + strconv.Quote(key)
}
