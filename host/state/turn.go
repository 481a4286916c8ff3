package state

import (
	"context"
	"time"
)

// What is asked of the server and not yet answered is bounded in bytes, also where
// nobody waits for the answer any more: the server and the client each keep 64 MiB
// for one connection, and end it, or drop answers, beyond.
const (
	maxUnderWay  = 48 // of each kind, values of a mebibyte at most
	maxOfABucket = 12 // so that a few functions cannot take all turns
)

// answerTime is how long an operation keeps its turn when the caller has left. A
// store of this process answers or fails; a cluster may do neither.
const answerTime = 10 * time.Second

// turns are places for what goes on at the same time, of one bucket and of all.
type turns struct{ own, all chan struct{} }

// take waits for a place in both. Its own first: no function waits for many of
// another's.
func (t turns) take(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case t.own <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-t.own
		return nil, ctx.Err()
	}
	return func() { <-t.all; <-t.own }, nil
}

// exchange has do ask the server something, in its turn, and returns when it is
// done or ctx has ended. do goes on until the server has answered, or for answerTime.
func exchange[T any](ctx context.Context, t turns, do func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	release, err := t.take(ctx)
	if err != nil {
		return none, err
	}
	answered := make(chan answer, 1)
	go func() { // ends with the connection at the latest
		defer release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
		defer cancel()
		value, err := do(ctx)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
