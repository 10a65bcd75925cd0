package activities

import (
	"context"
	"time"
)

// tellAgain is the least time between two checkpoints that a workflow is told of: everything that it
// is told makes its history longer, and the server bounds that.
const tellAgain = 5 * time.Minute

// tellWorkflow tells the workflow of an attempt, until ctx ends, what changes something there: that the
// attempt has begun, evaluations if the workflow decides by them, what holds it up, and a checkpoint from time to time,
// for search attributes and metrics. Everything else is in the heartbeats, which are no events. What
// cannot be told now is told later, together with what came meanwhile.
func (a *Activities) tellWorkflow(ctx context.Context, in TrainInput, tr *tracker) {
	if a.Notify == nil {
		return
	}
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	var told *Progress
	var when time.Time
	var holdups holdupsTold
	for {
		now := tr.snapshot()
		due := worthTelling(told, now, time.Since(when), in.Evaluations) || holdups.due(now.Holdup, time.Now())
		if due && a.Notify(ctx, now) == nil {
			told = &now
			when = time.Now()
			holdups.told(now.Holdup, when)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// worthTelling says whether a workflow should be told of the progress, some time after it was told the last.
func worthTelling(told *Progress, now Progress, since time.Duration, evaluations bool) bool {
	if told == nil {
		return true
	}
	if evaluations && now.EvalStep != told.EvalStep {
		return true
	}
	return now.CommittedStep != told.CommittedStep && since >= tellAgain
}
