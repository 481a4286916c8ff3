package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"spore/guest/kv"
)

// A window is claimed before its notification is sent, so that nothing that may
// happen afterwards (a timeout, a crash, another run) sends it a second time. All
// claims of one alert are in one key, because only that makes "no claim for this
// window" one compare-and-set: a window has no name that stays. Its bounds are
// computed anew in every run and move by seconds, over midnight perhaps, so that
// neither its start nor its day would do; but it overlaps itself, and windows of one
// alert never overlap each other.
type claim struct {
	Kind     string `json:"kind"`  // the light that makes the window
	Start    int64  `json:"start"` // Unix seconds
	End      int64  `json:"end"`
	State    string `json:"state"`
	At       int64  `json:"at"` // of the last change
	Attempts int    `json:"attempts"`
	Status   int    `json:"status,omitempty"` // HTTP status of the last answer
	Reason   string `json:"reason,omitempty"`
}

// States of a claim. A claim that is still "claimed" when its run must be over is
// unconfirmed: the run was ended between sending and writing down what came of it.
const (
	stateClaimed     = "claimed"
	stateSent        = "sent"
	stateFailed      = "failed"      // the receiver has answered that it did not take it
	stateUnconfirmed = "unconfirmed" // it may have arrived; never sent again
)

// maxAttempts is how often a notification that was answered with a failure is sent
// in all, once in a run and while its window lasts.
const maxAttempts = 3

// longestRun is longer than a function may run: 15 minutes.
const longestRun = 16 * time.Minute

// remembered is how long a claim outlives its window: a clock that was hours ahead
// and is set right must not meet the window again.
const remembered = 24 * time.Hour

// maxClaims bounds one alert's claims. There are never so many windows within the
// longest horizon, a week of hours, and the day behind.
const maxClaims = 200

// kindOf names what makes an alert's windows. An alert that was given another light
// under the same id has other windows, even where they overlap the old ones.
func (a *alert) windowKind() string {
	var kinds []string
	for _, c := range a.conditions {
		if c.kind == kindSun || c.kind == kindNight {
			kinds = append(kinds, c.value)
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, "+")
}

// same reports whether a claim is for the window of w: they share more than half of
// the shorter one.
func (c *claim) same(kind string, w window) bool {
	start, end := max(c.Start, w.start.Unix()), min(c.End, w.end.Unix())
	shorter := min(c.End-c.Start, w.end.Unix()-w.start.Unix())
	return c.Kind == kind && 2*(end-start) > shorter
}

// claims are an alert's claims as they were read.
type claims struct {
	store    store
	key      string
	revision int64
	list     []claim
}

// claimsKey is a key for any id: those too long for one stand under their digest.
func claimsKey(id string) string {
	if len(id) <= longestID {
		return "sent/" + id
	}
	sum := sha256.Sum256([]byte(id))
	return "sent-long/" + hex.EncodeToString(sum[:])
}

const longestID = 500 // bytes, of the 512 of a key

func readClaims(ctx context.Context, s store, id string, now time.Time) (*claims, error) {
	c := &claims{store: s, key: claimsKey(id)}
	value, revision, err := s.get(ctx, c.key)
	if errors.Is(err, kv.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, &c.list); err != nil {
		return nil, err
	}
	c.revision = revision
	over := now.Add(-remembered).Unix()
	c.list = slices.DeleteFunc(c.list, func(k claim) bool { return k.End < over && k.At < over })
	return c, nil
}

func (c *claims) find(kind string, w window) *claim {
	i := slices.IndexFunc(c.list, func(k claim) bool { return k.same(kind, w) })
	if i < 0 {
		return nil
	}
	return &c.list[i]
}

// write stores the claims, if nobody else has meanwhile: kv.ErrConflict. They stay
// for as long as any of their windows may be met again.
func (c *claims) write(ctx context.Context, now time.Time) error {
	end := now.Unix()
	for _, k := range c.list {
		end = max(end, k.End)
	}
	return withRoom(ctx, c.store, func() error {
		return c.store.update(ctx, c.key, encode(c.list), c.revision, time.Unix(end, 0).Sub(now)+remembered)
	})
}

// tries is how often a run reads an alert's claims again because another run has
// changed them.
const tries = 8

// take claims w for a run, or returns the claim that stands in the way: ours is false.
func take(ctx context.Context, s store, id, kind string, w window, now time.Time) (c claim, ours bool, err error) {
	for range tries {
		all, err := readClaims(ctx, s, id, now)
		if err != nil {
			return claim{}, false, err
		}
		mine := all.find(kind, w)
		switch {
		case mine == nil && len(all.list) >= maxClaims:
			return claim{}, false, errTooManyClaims
		case mine == nil:
			all.list = append(all.list, claim{Kind: kind, Start: w.start.Unix(), End: w.end.Unix()})
			mine = &all.list[len(all.list)-1]
		case mine.State != stateFailed || mine.Attempts >= maxAttempts:
			return mine.seen(now), false, nil
		}
		mine.State, mine.At, mine.Attempts, mine.Status, mine.Reason = stateClaimed, now.Unix(), mine.Attempts+1, 0, ""
		taken := *mine
		if err = all.write(ctx, now); !errors.Is(err, kv.ErrConflict) {
			return taken, err == nil, err
		}
	}
	return claim{}, false, kv.ErrConflict
}

var errTooManyClaims = errors.New("too many windows")

// seen is a claim of another run, as it has to be read now.
func (c claim) seen(now time.Time) claim {
	if c.State == stateClaimed && now.Unix()-c.At > int64(longestRun/time.Second) {
		c.State, c.Reason = stateUnconfirmed, "run_ended"
	}
	return c
}

// settle writes down what became of a claim that this run has taken.
func settle(ctx context.Context, s store, id string, done claim, now time.Time) error {
	w := window{time.Unix(done.Start, 0), time.Unix(done.End, 0)}
	for range tries {
		all, err := readClaims(ctx, s, id, now)
		if err != nil {
			return err
		}
		mine := all.find(done.Kind, w)
		if mine == nil {
			return kv.ErrNotFound
		}
		*mine = done
		if err := all.write(ctx, now); !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return kv.ErrConflict
}
