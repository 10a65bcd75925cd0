package workflows

import (
	"encoding/json"
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// Experiment trains one run to its end through any number of preemptions.
//
// Every attempt is one activity without a retry policy: whether another attempt
// is worth it depends on whether the last one committed steps, which the server
// cannot know and this loop does.
func Experiment(ctx workflow.Context, raw json.RawMessage) (study.ExperimentResult, error) {
	x := &experimentState{}
	x.faults = study.DecodeStrict(raw, &x.in)
	if x.in.Item != nil {
		x.faults = append(x.faults, activities.ItemFaults(*x.in.Item)...)
	}
	x.faults = append(x.faults, x.in.Timeouts.faults()...)
	x.paused = x.in.Paused
	x.told.Status = statusAtStart(x.paused)
	if x.in.Sweep != "" {
		x.attributes.status = x.told.Status // see startExperiment
		x.attributes.holdup = holdupAtStart(x.paused)
	}
	if x.in.Carried != nil {
		x.res = *x.in.Carried
		x.lastAttempt = x.res.Progress.StartedAt
	}
	if err := x.handlers(ctx); err != nil {
		return x.res, err
	}
	if err := x.resolve(ctx); err != nil {
		return x.res, err
	}
	err := x.train(ctx)
	if workflow.IsContinueAsNewError(err) {
		return x.res, err
	}
	x.res.Rest()
	x.publish(ctx)
	return x.res, x.withResult(err)
}

// withResult puts the result into the error, which is all that a parent sees of a child that failed.
func (x *experimentState) withResult(err error) error {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case temporal.IsCanceledError(err):
		return temporal.NewCanceledError(x.res)
	case errors.As(err, &app):
		x.res.Error = app.Message()
		return temporal.NewNonRetryableApplicationError(app.Message(), app.Type(), nil, x.res)
	}
	x.res.Error = err.Error()
	return temporal.NewNonRetryableApplicationError(err.Error(), activities.ErrFinal, nil, x.res)
}

// resolve plans the experiment if a user started it.
func (x *experimentState) resolve(ctx workflow.Context) error {
	if x.in.Item == nil || len(x.faults) > 0 {
		name := x.in.Experiment
		if name == "" {
			name = "e1_1_baseline"
		}
		input := study.SweepInput{Profile: x.in.Profile, Overrides: x.in.Overrides, Priority: x.in.Priority}
		if x.in.Seed != 0 {
			input.Seeds = []int64{x.in.Seed}
		}
		p, err := plan(ctx, activities.PlanInput{Names: []string{name}, Input: input, Faults: append(x.faults, input.Faults()...)})
		if err != nil {
			return err
		}
		x.in.Item = &p.Items[0]
		if err := workflow.UpsertMemo(ctx, map[string]any{"code": p.Code}); err != nil {
			return err
		}
	}
	x.res.Item = *x.in.Item
	if x.res.Status == "" {
		x.res.Status = study.StatusQueued
	}
	return workflow.UpsertMemo(ctx, map[string]any{"spec_hash": x.in.Item.SpecHash, "run": x.in.Item.Run})
}

// train is the loop over attempts.
func (x *experimentState) train(ctx workflow.Context) error {
	if finished, err := x.reuse(ctx); err != nil || finished {
		return err
	}
	for {
		if err := x.awaitResume(ctx); err != nil {
			return err
		}
		if status := x.answerCommand(); status != "" {
			x.res.Status = status
			return nil
		}
		before := x.res.CommittedStep
		a, err := x.runAttempt(ctx)
		if err == nil {
			x.res.Status = study.StatusDone
			return nil
		}
		if ctx.Err() != nil {
			x.res.Status = study.StatusStopped
			return ctx.Err()
		}
		if a.requeue {
			continue
		}
		endedByCommand := a.cancelled && temporal.IsCanceledError(err) // even if it was taken back since: a pause, resumed while it saved
		if endedByCommand || x.hasCommand() {
			continue
		}
		switch {
		case kindOf(err) == activities.ErrShared:
			err = x.follow(ctx, rootMessage(err))
		case a.noSlot:
			err = nil
		default:
			err = x.retry(ctx, err, before)
		}
		if err == nil && x.res.Status == study.StatusDone { // another experiment has finished the run
			return nil
		}
		if ctx.Err() != nil {
			x.res.Status = study.StatusStopped
			return ctx.Err()
		}
		if err != nil {
			x.res.Status = study.StatusFailed
			x.res.Error = err.Error()
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) && x.command == "" {
			in := x.in
			in.Carried = &x.res
			in.Paused = x.paused
			return workflow.NewContinueAsNewError(ctx, ExperimentType, in)
		}
	}
}

// reuse takes a finished run's result from the store, unless it shall be forgotten.
func (x *experimentState) reuse(ctx workflow.Context) (bool, error) {
	switch {
	case x.in.Carried != nil:
		return false, nil
	case x.in.Force:
		x.res.ToForget = true
		return false, nil
	case x.in.Known != nil:
		return x.res.Reuse(*x.in.Known), nil
	}
	st, err := x.runStatus(ctx)
	if err != nil {
		x.res.Status = study.StatusFailed
		x.res.Error = err.Error()
		return false, err
	}
	return x.res.Reuse(st), nil
}

// awaitResume waits while the experiment is paused.
func (x *experimentState) awaitResume(ctx workflow.Context) error {
	if x.paused {
		x.res.Status = study.StatusPaused
		x.holdUp(ctx, protocol.HoldupPaused, "")
	}
	if err := workflow.Await(ctx, func() bool { return !x.paused }); err != nil {
		x.res.Status = study.StatusStopped
		return err
	}
	if x.res.Status == study.StatusPaused {
		x.res.Status = study.StatusQueued
	}
	return nil
}

// answerCommand answers the last command. It returns the status to end with, or nothing to go on.
func (x *experimentState) answerCommand() string {
	command := x.command
	x.command = ""
	switch command {
	case study.ActionSkip:
		return study.StatusSkipped
	case study.ActionStop:
		return study.StatusStopped
	case study.ActionRetry:
		x.res.Committed()
	}
	return ""
}
