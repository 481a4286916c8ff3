package guest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContextEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := newContext(&Event{DeadlineMS: time.Now().Add(time.Second).UnixMilli()}, new(eventContext))
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		require.NoError(t, ctx.Err())
		start := time.Now()
		<-derived.Done()
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestContextKeepsItsErrorWhenTheClockIsSetBack(t *testing.T) {
	ctx := newContext(&Event{DeadlineMS: time.Now().Add(time.Hour).UnixMilli()}, new(eventContext)).(*eventContext)
	ctx.expired.Store(true) // as the timer does, which runs on the monotonic clock
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
}

func TestAStoppedContextNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(eventContext)
		ctx := newContext(&Event{DeadlineMS: time.Now().Add(time.Second).UnixMilli()}, c)
		done := ctx.Done()
		c.stop()
		time.Sleep(time.Hour)
		select {
		case <-done:
			t.Fatal("the timer fired")
		default:
		}
	})
}
