package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

// heartbeatPatience is how long one heartbeat may take.
const heartbeatPatience = 10 * time.Second

// heartbeatAttempt sends the heartbeats of a training attempt until done closes. It closes
// stop once when the workflow cancels the attempt, when the server has given the attempt
// up, or when the worker stops. A server that cannot be reached for a while does not
// close it. The SDK's own heartbeat would: it cancels the activity as soon as one call
// takes too long, although the training process is well.
func (a *Activities) heartbeatAttempt(ctx context.Context, tr *tracker, stop, done chan struct{}) {
	every := a.HeartbeatEvery
	if every == 0 {
		every = 2 * time.Second
	}
	refused := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { // also while the process saves
		t := time.NewTicker(every)
		defer t.Stop()
		var once sync.Once
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			if a.heartbeat(ctx, tr) {
				once.Do(func() { close(refused) })
			}
		}
	})
	defer sending.Wait()
	select {
	case <-done:
		return
	case <-refused:
	case <-ctx.Done():
	case <-activity.GetWorkerStopChannel(ctx):
	}
	close(stop)
}

// heartbeat sends the progress of a training attempt; true means that the attempt shall end.
func (a *Activities) heartbeat(ctx context.Context, tr *tracker) bool {
	end := a.sendHeartbeat(ctx, tr.snapshot())
	if temporal.IsCanceledError(end) {
		tr.cancelled.Store(true)
	}
	if paused(end) {
		tr.setPaused()
	}
	return end != nil
}

// sendHeartbeat sends one heartbeat. An error means that the activity shall end: the workflow
// has cancelled it (temporal.CanceledError), or the server has given it up.
func (a *Activities) sendHeartbeat(ctx context.Context, details any) error {
	if a.Heartbeat == nil {
		activity.RecordHeartbeat(ctx, details)
		return nil
	}
	rctx, cancel := context.WithTimeout(ctx, heartbeatPatience)
	defer cancel()
	err := a.Heartbeat(rctx, activity.GetInfo(ctx).TaskToken, details)
	var gone *serviceerror.NotFound
	paused := errors.Is(err, activity.ErrActivityPaused) || errors.Is(err, activity.ErrActivityReset)
	if temporal.IsCanceledError(err) || errors.As(err, &gone) || paused {
		return err
	}
	return nil
}

// workHeartbeat is the time between heartbeats of all activities but Train. It is well
// within the workflows' heartbeat timeout of 30 s.
const workHeartbeat = 5 * time.Second

// withHeartbeats sends heartbeats while an activity works, so that the death of its
// worker is noticed soon. The activity works under the returned context, which ends when
// the workflow cancels the activity or the server has given it up, but not when the
// server cannot be reached for a while. setDetails changes the details of the next
// heartbeats; stop ends them.
func (a *Activities) withHeartbeats(ctx context.Context) (work context.Context, setDetails func(any), stop func()) {
	if !activity.IsActivity(ctx) {
		return ctx, func(any) {}, func() {}
	}
	every := a.HeartbeatEvery
	if every == 0 {
		every = workHeartbeat
	}
	work, cancel := context.WithCancelCause(ctx)
	var mu sync.Mutex
	var last any
	setDetails = func(d any) {
		mu.Lock()
		defer mu.Unlock()
		last = d
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			mu.Lock()
			d := last
			mu.Unlock()
			if end := a.sendHeartbeat(ctx, d); end != nil {
				cancel(end)
			}
		}
	})
	return work, setDetails, func() {
		close(done)
		wg.Wait()
		cancel(nil)
	}
}
