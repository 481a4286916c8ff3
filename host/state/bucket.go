package state

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spore/abi"
	"spore/host/function"
)

// Bucket holds the keys of one function. A key has one message in the bucket's
// stream, whose sequence number is the key's revision, and none after it was deleted.
// Where the store's process ended in a write, the message before may be there as well:
// the last one counts, and the others go with the next write. Methods may be called at the same time, also from other hosts on
// the same cluster. An operation that ends with its context may still take effect.
type Bucket struct {
	state    *State
	name     string
	maxBytes int64

	opening chan struct{} // holds one token while handle is used
	handle  handle
	deleted atomic.Bool // somebody else has deleted handle's stream

	reading, writing, listing turns
}

// handle is a bucket's stream as it is reached through one connection.
type handle struct {
	jetstream.Stream
	of *connection
}

// Entry is a key's value.
type Entry struct {
	Value    []byte
	Revision uint64    // rises with every write to the bucket; never 0
	Expires  time.Time // zero: never
}

// maxKeys bounds a bucket's keys, whatever its bytes: every page of a list looks at
// all of them, which takes 3 us each.
const maxKeys = 20_000

// expiresHeader holds the instant in Unix milliseconds from which on a message
// counts as absent. Beside the value, so that NATS's tools show that as it is.
const expiresHeader = "Spore-Expires"

// history is how many messages of a key the stream may keep: the most that NATS's tools
// take. It is never reached, because each message has those before it removed (a
// rollup). The stream's own limit of one would do the same, but the server writes no
// record of what it removes by a limit, and after a crash took the value before a
// deleted one for the key's.
const history = 64

// grace is how much longer than a key NATS keeps its message, by its own clock. Up
// to then ours decides; afterwards the room is free again.
const grace = time.Minute

// MaxExpiry bounds how long a key that expires may last.
const MaxExpiry = 10 * 365 * 24 * time.Hour

// Bucket returns the bucket of the function called name, which holds at most
// maxBytes: keys, values, and about 90 bytes for each. A new value has to fit beside the old
// one, which goes only then. It is made at its first use.
func (s *State) Bucket(name string, maxBytes int64) (*Bucket, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	own := func(n int, all chan struct{}) turns { return turns{make(chan struct{}, n), all} }
	return &Bucket{
		state: s, name: name, maxBytes: maxBytes, opening: make(chan struct{}, 1),
		reading: own(maxOfABucket, s.reading), writing: own(maxOfABucket, s.writing), listing: own(1, s.listing),
	}, nil
}

// Get returns the entry of key; there is none, or it has expired: NotFound.
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	op := b.op("get", key)
	h, err := b.open(ctx, key)
	if err != nil {
		return Entry{}, op.fail(err)
	}
	e, err := b.read(ctx, h, key)
	switch {
	case err != nil:
		return Entry{}, op.fail(err)
	case !b.alive(e):
		return Entry{}, op.fail(&function.Error{Kind: abi.NotFound})
	}
	return e, nil
}

// Put writes key whatever it holds and returns its new revision. The value expires
// after expiry, in milliseconds rounded up; 0 means never. Its bytes must not change
// any more: when ctx ends first, they may still be on their way.
func (b *Bucket) Put(ctx context.Context, key string, value []byte, expiry time.Duration) (uint64, error) {
	op := b.op("put", key)
	h, err := b.open(ctx, key)
	if err != nil {
		return 0, op.fail(err)
	}
	msg, err := b.message(key, value, expiry)
	if err != nil {
		return 0, op.fail(err)
	}
	revision, err := b.publish(ctx, h, msg)
	return revision, op.fail(err)
}

// attempts is how often an operation follows a key that others write meanwhile.
// Each attempt that fails means that another writer got on.
const attempts = 8

// Update is Put for a key that is at the revision given, else Conflict. Revision 0
// stands for a key that is not there or has expired.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, expiry time.Duration, revision uint64) (uint64, error) {
	op := b.op("update", key)
	h, err := b.open(ctx, key)
	if err != nil {
		return 0, op.fail(err)
	}
	msg, err := b.message(key, value, expiry)
	if err != nil {
		return 0, op.fail(err)
	}
	for range attempts {
		at, err := b.at(ctx, h, key, revision)
		if err != nil {
			return 0, op.fail(err)
		}
		written, err := b.publish(ctx, h, msg, jetstream.WithExpectLastSequencePerSubject(at))
		if function.KindOf(err) != abi.Conflict {
			return written, op.fail(err)
		}
	}
	return 0, op.fail(busy())
}

// Delete removes key; that there is none is fine. With a revision other than 0 the
// key must be at it, else Conflict.
func (b *Bucket) Delete(ctx context.Context, key string, revision uint64) error {
	op := b.op("delete", key)
	h, err := b.open(ctx, key)
	if err != nil {
		return op.fail(err)
	}
	for range attempts {
		e, err := b.read(ctx, h, key)
		if function.KindOf(err) == abi.NotFound {
			e, err = Entry{}, nil
		}
		switch {
		case err != nil:
			return op.fail(err)
		case revision != 0 && (e.Revision != revision || !b.alive(e)):
			return op.fail(&function.Error{Kind: abi.Conflict})
		case e.Revision == 0:
			return nil
		}
		// Where the message is gone already, the client gives the server's reason as text only.
		err = b.remove(ctx, h, key, e.Revision)
		if !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
			return op.fail(b.explain(err))
		}
	}
	return op.fail(busy())
}

// remove deletes key's message by its number, so that one that has replaced it meanwhile
// stays, and before it what a crash may have left.
func (b *Bucket) remove(ctx context.Context, h handle, key string, revision uint64) error {
	_, err := exchange(ctx, b.writing, func(ctx context.Context) (struct{}, error) {
		err := h.Purge(ctx, jetstream.WithPurgeSubject(b.subject(escape(key))), jetstream.WithPurgeSequence(revision))
		if err == nil {
			err = h.DeleteMsg(ctx, revision)
		}
		return struct{}{}, err
	})
	return err
}

// List returns the keys that begin with prefix and come after the key after, in the
// order of their bytes, at most limit and at most abi.MaxKVKeys; more says that
// there are others behind them. Together they take at most maxListBytes.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) (keys []string, more bool, err error) {
	op := b.op("list", prefix)
	h, err := b.reach(ctx)
	if err != nil {
		return nil, false, op.fail(err)
	}
	all, err := b.keys(ctx, h, prefix, after)
	if err != nil {
		return nil, false, op.fail(err)
	}
	if limit <= 0 || limit > abi.MaxKVKeys {
		limit = abi.MaxKVKeys
	}
	size := 0
	for _, key := range all {
		e, err := b.read(ctx, h, key)
		switch {
		case function.KindOf(err) == abi.NotFound || err == nil && !b.alive(e):
			continue
		case err != nil:
			return nil, false, op.fail(err)
		}
		size += len(key) + 4
		if len(keys) == limit || size > maxListBytes {
			return keys, true, nil
		}
		keys = append(keys, key)
	}
	return keys, false, nil
}

// maxListBytes is how much of a frame's head a list may take, with a length before each key.
const maxListBytes = 120 << 10

// keys returns the keys after after that begin with prefix, sorted, those that have
// expired included.
func (b *Bucket) keys(ctx context.Context, h handle, prefix, after string) ([]string, error) {
	info, err := exchange(ctx, b.listing, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return h.Info(ctx, jetstream.WithSubjectFilter(b.subject(">")))
	})
	if err != nil {
		return nil, b.explain(err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		key, ok := unescape(strings.TrimPrefix(subject, b.subject("")))
		if ok && strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (b *Bucket) subject(token string) string { return subjectPrefix + b.name + "." + token }

// at returns the number that key's message must have for the key to be at revision:
// 0 for one that is not there. A key that is elsewhere is a Conflict.
func (b *Bucket) at(ctx context.Context, h handle, key string, revision uint64) (uint64, error) {
	e, err := b.read(ctx, h, key)
	if function.KindOf(err) == abi.NotFound {
		e, err = Entry{}, nil
	}
	if err != nil {
		return 0, err
	}
	seen := e.Revision
	if !b.alive(e) {
		seen = 0
	}
	if seen != revision {
		return 0, &function.Error{Kind: abi.Conflict}
	}
	return e.Revision, nil
}

// alive reports whether e counts as there.
func (b *Bucket) alive(e Entry) bool {
	return e.Revision != 0 && (e.Expires.IsZero() || b.state.opt.Now().Before(e.Expires))
}

// read returns key's message, expired or not.
func (b *Bucket) read(ctx context.Context, h handle, key string) (Entry, error) {
	msg, err := exchange(ctx, b.reading, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return h.GetLastMsgForSubject(ctx, b.subject(escape(key)))
	})
	if err != nil {
		return Entry{}, b.explain(err)
	}
	e := Entry{Value: msg.Data, Revision: msg.Sequence}
	if text := msg.Header.Get(expiresHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Entry{}, fmt.Errorf("header %s: %w", expiresHeader, err)
		}
		e.Expires = time.UnixMilli(ms)
	}
	return e, nil
}

// message is what is stored for key.
func (b *Bucket) message(key string, value []byte, expiry time.Duration) (*nats.Msg, error) {
	switch {
	case len(value) > abi.MaxKVValue:
		return nil, &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the value is over the limit of %d bytes", abi.MaxKVValue)}
	case expiry < 0 || expiry > MaxExpiry:
		return nil, &function.Error{Kind: abi.Invalid, Err: fmt.Errorf("the expiry is negative or over %v", MaxExpiry)}
	}
	msg := nats.NewMsg(b.subject(escape(key)))
	msg.Data = value
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	if expiry > 0 {
		expires := b.state.opt.Now().Add(expiry + time.Millisecond - 1).UnixMilli()
		msg.Header.Set(expiresHeader, strconv.FormatInt(expires, 10))
		seconds := int64(math.Ceil((expiry + grace).Seconds()))
		msg.Header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(seconds, 10))
	}
	return msg, nil
}

// publish stores msg, under a condition perhaps. opts may say nothing else.
func (b *Bucket) publish(ctx context.Context, h handle, msg *nats.Msg, opts ...jetstream.PublishOpt) (uint64, error) {
	if most := h.of.nc.MaxPayload(); int64(msg.Size()) > most {
		return 0, &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the cluster takes messages of at most %d bytes; raise its max_payload", most)}
	}
	ack, err := exchange(ctx, b.writing, func(ctx context.Context) (*jetstream.PubAck, error) {
		return h.of.js.PublishMsg(ctx, msg, append(opts, jetstream.WithExpectStream(streamPrefix+b.name))...)
	})
	if err != nil {
		return 0, b.explain(err)
	}
	return ack.Sequence, nil
}

// open checks key and returns the bucket's stream.
func (b *Bucket) open(ctx context.Context, key string) (handle, error) {
	if err := checkKey(key); err != nil {
		return handle{}, err
	}
	return b.reach(ctx)
}

// reach returns the bucket's stream, and makes or adjusts it at the first use.
func (b *Bucket) reach(ctx context.Context) (handle, error) {
	c, err := b.state.connection(ctx)
	if err != nil {
		return handle{}, err
	}
	select {
	case b.opening <- struct{}{}:
		defer func() { <-b.opening }()
	case <-ctx.Done():
		return handle{}, ctx.Err()
	}
	if b.handle.of != c || b.deleted.Swap(false) {
		stream, err := b.adjust(ctx, c)
		if err != nil {
			b.handle = handle{}
			return handle{}, b.explain(err)
		}
		b.handle = handle{stream, c}
	}
	return b.handle, nil
}

// adjust makes the stream, or gives one that is there the bound of today. What else
// an operator has changed, replicas perhaps, stays.
func (b *Bucket) adjust(ctx context.Context, c *connection) (jetstream.Stream, error) {
	stream, err := c.js.Stream(ctx, streamPrefix+b.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return c.js.CreateStream(ctx, jetstream.StreamConfig{
			Name:              streamPrefix + b.name,
			Description:       "keys and values of function " + b.name,
			Subjects:          []string{b.subject(">")},
			MaxMsgsPerSubject: history,
			AllowRollup:       true,
			MaxBytes:          b.maxBytes,
			MaxMsgs:           maxKeys,
			Discard:           jetstream.DiscardNew,
			AllowDirect:       c.server != nil, // a replica may answer, which may not have the last write yet
			AllowMsgTTL:       true,
		})
	}
	if err != nil {
		return nil, err
	}
	config := stream.CachedInfo().Config
	if config.MaxBytes == b.maxBytes && config.MaxMsgsPerSubject == history && config.AllowRollup {
		return stream, nil
	}
	config.MaxBytes, config.MaxMsgsPerSubject, config.AllowRollup = b.maxBytes, history, true
	return c.js.UpdateStream(ctx, config)
}
