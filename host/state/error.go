package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spore/abi"
	"spore/host/function"
)

// operation names what is being done to which key, for errors.
type operation struct{ verb, bucket, key string }

func (b *Bucket) op(verb, key string) operation { return operation{verb, b.name, key} }

// fail gives an error its kind and says where it happened; nil stays nil.
func (o operation) fail(err error) error {
	if err == nil {
		return nil
	}
	op := o.verb + " " + function.Quoted(o.key) + " in the bucket of " + o.bucket
	var known *function.Error
	switch {
	case errors.As(err, &known):
		return &function.Error{Kind: known.Kind, Op: op, Err: known.Err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &function.Error{Kind: abi.Deadline, Op: op, Err: err}
	}
	return &function.Error{Kind: abi.Unavailable, Op: op, Err: err}
}

func busy() error {
	return &function.Error{Kind: abi.Overloaded, Err: errors.New("others write this key all the time; try again")}
}

// codeStoreFailed is the number of an error of JetStream's that the client has no name for.
const codeStoreFailed = 10077

// explain turns what JetStream answers into what callers tell apart.
func (b *Bucket) explain(err error) error {
	var api jetstream.JetStreamError
	switch {
	case errors.Is(err, nats.ErrConnectionClosed):
		return b.state.whyClosed()
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return errAway
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse):
		b.deleted.Store(true)
		return errDeleted
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return &function.Error{Kind: abi.NotFound}
	case err == nil || !errors.As(err, &api) || api.APIError() == nil:
		return err
	}
	text := api.APIError().Description
	code := api.APIError().ErrorCode
	switch {
	case code == jetstream.JSErrCodeStreamWrongLastSequence, code == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return &function.Error{Kind: abi.Conflict}
	case code == codeStoreFailed && strings.HasPrefix(text, "maximum bytes"):
		return &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the bucket is full at %d bytes; delete keys, or raise kv of function %s in functions.toml", b.maxBytes, b.name)}
	case code == codeStoreFailed && strings.HasPrefix(text, "maximum messages"):
		return &function.Error{Kind: abi.TooLarge, Err: fmt.Errorf("the bucket is full at %d keys; delete some", maxKeys)}
	}
	return err
}
