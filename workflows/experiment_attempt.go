package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// runAttempt is one training activity from the queue to its end, with its accounting.
func (x *experimentState) runAttempt(ctx workflow.Context) (*attempt, error) {
	x.res.Status = study.StatusQueued
	x.holdUp(ctx, protocol.HoldupNoSlot, "")
	number := x.res.Attempts + 1
	summary := fmt.Sprintf("%s, attempt %d from step %d of %d", x.in.Item.ID, number, x.res.CommittedStep, x.in.Item.TotalSteps)
	actx, cancel := workflow.WithCancel(trainActivity(ctx, x.in.Timeouts.Heartbeat, x.in.Priority, summary))
	a := &attempt{cancel: cancel, number: number, asked: workflow.Now(ctx)}
	x.attempt = a
	in := activities.TrainInput{
		Item:        *x.in.Item,
		Attempt:     number,
		Forget:      x.res.ToForget,
		Evaluations: x.in.StopOnCollapse || x.in.EveryEvaluation,
	}
	var out activities.TrainResult
	err := workflow.ExecuteActivity(actx, acts.Train, in).Get(ctx, &out)
	x.attempt = nil
	x.res.Holdup = protocol.Holdup{}
	p := out.Progress
	if err != nil {
		p = progressOf(err)
	} else {
		x.res.StateSHA256 = out.StateSHA256
		x.res.Outcome = out.Outcome
	}
	saysWhenItBegan := !p.StartedAt.IsZero()
	if saysWhenItBegan || !temporal.IsCanceledError(err) { // a cancelled one without progress was never taken by a host
		x.res.Attempts = number
	}
	x.lastAttempt = x.res.Progress.StartedAt
	if saysWhenItBegan {
		x.lastAttempt = p.StartedAt
	}
	x.res.ToForget = x.res.ToForget && !p.Forgotten && err != nil
	if p.Step > 0 || p.CommittedStep > 0 {
		x.res.Progress = p
	}
	x.res.Progress.Holdup = protocol.Holdup{} // its process has ended
	x.res.CommittedStep = max(x.res.CommittedStep, p.CommittedStep)
	x.res.Account(p, a.asked, workflow.Now(ctx), err == nil)
	return a, err
}

// runStatus asks the store what it knows of the run.
func (x *experimentState) runStatus(ctx workflow.Context) (study.RunStatus, error) {
	var st study.RunStatus
	err := workflow.ExecuteActivity(lightActivity(ctx, "look for results of "+x.in.Item.Run), acts.Status, *x.in.Item).Get(ctx, &st)
	return st, err
}

// progressOf reads the progress that the error of an attempt carries.
func progressOf(err error) study.Progress {
	var p study.Progress
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		_ = app.Details(&p)
	case errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails():
		_ = timeout.LastHeartbeatDetails(&p)
	case errors.As(err, &cancelled) && cancelled.HasDetails():
		_ = cancelled.Details(&p)
	}
	return p
}
