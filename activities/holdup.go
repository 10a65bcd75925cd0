package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"trmsweep/internal/blob/patient"
	"trmsweep/internal/protocol"
)

// storePatience is how long an attempt waits for a store that is away before its process begins.
const storePatience = 10 * time.Minute

// patiently is the activities on a store that an attempt waits for, and says so.
func (a *Activities) patiently(tr *tracker) *Activities {
	waiting := *a
	waiting.Bucket = patient.New(a.Bucket, storePatience, func(_, _ string, err error, waited time.Duration) {
		tr.storageWaits(err, a.Host, time.Now().Add(-waited))
	})
	return &waiting
}

// storageWaits notes that the store has failed since a time, or with a nil error that it answers again.
func (t *tracker) storageWaits(err error, host string, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Holdup = protocol.Holdup{}
	if err != nil {
		t.p.Holdup = protocol.StorageHoldup(err, host, since)
	}
}

// setPaused notes that the server holds the activity, as a user has asked in the Web UI.
// Nothing that its process says while it saves changes that.
func (t *tracker) setPaused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paused.None() {
		t.paused = protocol.Holdup{Kind: protocol.HoldupActivityPaused, Since: time.Now()}
	}
}

// tellPause tells the workflow of an attempt that the server will hold until it is unpaused: the
// workflow hears nothing of that otherwise.
func (a *Activities) tellPause(ctx context.Context, tr *tracker) {
	p := tr.snapshot()
	if a.Notify != nil && p.Holdup.Kind == protocol.HoldupActivityPaused {
		_ = a.Notify(ctx, p) // status asks the server too
	}
}

// paused says whether the answer to a heartbeat was that the server holds the activity.
func paused(err error) bool { return errors.Is(err, activity.ErrActivityPaused) }

// holdupsTold is what the workflow was told of the hold-ups of an attempt. It is told when one has lasted for a
// moment, and when it is over; the more it was told the rarer, so that a disk that is full every few seconds
// does not fill the history. The heartbeats say what is now.
type holdupsTold struct {
	last  protocol.Holdup
	when  time.Time
	times int
}

const (
	holdupLasts      = 5 * time.Second
	firstHoldupGap   = 15 * time.Second
	longestHoldupGap = 15 * time.Minute
)

// due says whether the workflow should be told of the hold-up, or that there is none any more.
func (h *holdupsTold) due(held protocol.Holdup, now time.Time) bool {
	if held.Same(h.last) {
		return false
	}
	passing := !held.None() && now.Sub(held.Since) < holdupLasts
	return !passing && !now.Before(h.when.Add(h.gap()))
}

// told notes what the workflow was told.
func (h *holdupsTold) told(held protocol.Holdup, now time.Time) {
	if held.Same(h.last) {
		return
	}
	h.last = held
	h.when = now
	h.times++
}

// gap is the least time until the workflow is told again.
func (h *holdupsTold) gap() time.Duration {
	if h.times == 0 {
		return 0
	}
	return min(firstHoldupGap<<min(h.times-1, 10), longestHoldupGap)
}
