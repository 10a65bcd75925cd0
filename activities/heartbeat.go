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

// heartbeatPatience is how long one report of an attempt may take.
const heartbeatPatience = 10 * time.Second

// beat heartbeats until done. It closes stop once when the workflow cancels the
// attempt, when the server has given it up, or when the worker stops. A server that
// cannot be reached for a while is none of these: the SDK's own heartbeat would cancel
// the attempt at the first that takes too long, and with it training that nobody doubts.
func (a *Activities) beat(ctx context.Context, tr *tracker, stop, done chan struct{}) {
	every := a.HeartbeatEvery
	if every == 0 {
		every = 2 * time.Second
	}
	refused := make(chan struct{})
	var reports sync.WaitGroup
	reports.Go(func() { // also while the process saves
		t := time.NewTicker(every)
		defer t.Stop()
		var once sync.Once
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			if a.report(ctx, tr) {
				once.Do(func() { close(refused) })
			}
		}
	})
	defer reports.Wait()
	select {
	case <-done:
		return
	case <-refused:
	case <-ctx.Done():
	case <-activity.GetWorkerStopChannel(ctx):
	}
	close(stop)
}

// report sends one heartbeat; true means that the attempt shall end.
func (a *Activities) report(ctx context.Context, tr *tracker) bool {
	end := a.say(ctx, tr.snapshot())
	if temporal.IsCanceledError(end) {
		tr.cancelled.Store(true)
	}
	return end != nil
}

// say sends one heartbeat. An error means that the activity shall end: the workflow
// has cancelled it (temporal.CanceledError), or the server has given it up.
func (a *Activities) say(ctx context.Context, details any) error {
	if a.Heartbeat == nil {
		activity.RecordHeartbeat(ctx, details)
		return nil
	}
	rctx, cancel := context.WithTimeout(ctx, heartbeatPatience)
	defer cancel()
	err := a.Heartbeat(rctx, activity.GetInfo(ctx).TaskToken, details)
	var gone *serviceerror.NotFound
	if temporal.IsCanceledError(err) || errors.As(err, &gone) || errors.Is(err, activity.ErrActivityPaused) || errors.Is(err, activity.ErrActivityReset) {
		return err
	}
	return nil
}
