package capability

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"spore/abi"
	"spore/host/function"
	"spore/host/state"
)

// KVOptions are the settings of the key-value store. Zero means the default.
type KVOptions struct {
	PerFunction int // operations and unread answers at once for one function; 64
	Total       int // the same for all functions; 256
}

// KV gives functions their buckets.
type KV struct {
	state *state.State
	open  chan struct{} // one element for each operation and unread answer
	each  int
}

// NewKV returns a KV over s, which stays the caller's to close.
func NewKV(s *state.State, o KVOptions) *KV {
	if o.PerFunction == 0 {
		o.PerFunction = 64
	}
	if o.Total == 0 {
		o.Total = 256
	}
	return &KV{state: s, open: make(chan struct{}, o.Total), each: o.PerFunction}
}

// For returns spec's bucket. It fails for a name that no function has.
func (k *KV) For(spec function.Spec) (*FunctionKV, error) {
	bucket, err := k.state.Bucket(spec.Name, spec.KV)
	if err != nil {
		return nil, err
	}
	open := places{own: make(chan struct{}, k.each), all: k.open, function: spec.Name, what: "key-value operations"}
	return &FunctionKV{name: spec.Name, bucket: bucket, open: open}, nil
}

// FunctionKV performs the operations of one function.
type FunctionKV struct {
	name   string
	bucket *state.Bucket // nil: not granted
	open   places
}

// NoKV refuses every operation of a function that has no bucket.
func NoKV(spec function.Spec) *FunctionKV { return &FunctionKV{name: spec.Name} }

// Do performs one operation, which ends with ctx: whether a write then took effect
// is not known. req and its bytes are Do's to keep. The answer counts as open until
// release is called, which may happen more than once. Calls of Do may overlap.
func (f *FunctionKV) Do(ctx context.Context, req *abi.KVRequest) (answer abi.KVAnswer, release func()) {
	if f.bucket == nil {
		return kvRefusal(denied(`not granted; add kv = "16MiB" to function %s in functions.toml`, f.name))
	}
	release, err := f.open.take()
	if err != nil {
		return kvRefusal(err)
	}
	answer, err = f.perform(ctx, req)
	if err != nil {
		release()
		return kvRefusal(err)
	}
	return answer, release
}

func kvRefusal(err error) (abi.KVAnswer, func()) {
	return abi.KVAnswer{Kind: function.KindOf(err), Message: message("kv_start: " + err.Error())}, func() {}
}

func (f *FunctionKV) perform(ctx context.Context, req *abi.KVRequest) (a abi.KVAnswer, err error) {
	expiry := time.Duration(req.ExpiryMS) * time.Millisecond
	if req.ExpiryMS < 0 || req.ExpiryMS > int64(state.MaxExpiry/time.Millisecond) {
		return a, invalid("the expiry is negative or over ten years")
	}
	if req.Revision < 0 {
		return a, invalid("the revision is negative")
	}
	revision := uint64(req.Revision)
	switch req.Op {
	case abi.KVGet:
		return f.get(ctx, req.Key)
	case abi.KVPut:
		revision, err = f.bucket.Put(ctx, req.Key, req.Body, expiry)
	case abi.KVUpdate:
		revision, err = f.bucket.Update(ctx, req.Key, req.Body, expiry, revision)
	case abi.KVDelete:
		return a, f.bucket.Delete(ctx, req.Key, revision)
	case abi.KVList:
		return f.list(ctx, req)
	default:
		return a, invalid("operation %d does not exist", req.Op)
	}
	return abi.KVAnswer{Revision: int64(revision)}, err
}

func (f *FunctionKV) get(ctx context.Context, key string) (abi.KVAnswer, error) {
	e, err := f.bucket.Get(ctx, key)
	if err != nil {
		return abi.KVAnswer{}, err
	}
	if len(e.Value) > abi.MaxKVValue || e.Revision > math.MaxInt64 { // put there by others than a host
		return abi.KVAnswer{}, &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the value has %d bytes", len(e.Value))}
	}
	a := abi.KVAnswer{Revision: int64(e.Revision), Body: e.Value}
	if !e.Expires.IsZero() {
		a.ExpiresMS = e.Expires.UnixMilli()
	}
	return a, nil
}

func (f *FunctionKV) list(ctx context.Context, req *abi.KVRequest) (abi.KVAnswer, error) {
	if len(req.Key) > abi.MaxKVKey || len(req.After) > abi.MaxKVKey {
		return abi.KVAnswer{}, &function.Error{Kind: abi.TooLarge, Err: errors.New("the prefix or the key to begin after is longer than a key")}
	}
	keys, more, err := f.bucket.List(ctx, req.Key, req.After, int(min(req.Limit, abi.MaxKVKeys)))
	a := abi.KVAnswer{Keys: keys}
	if more {
		a.More = 1
	}
	return a, err
}
