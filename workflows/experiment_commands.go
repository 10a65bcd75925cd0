package workflows

import (
	"encoding/json"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// handlers registers the query and the update, and starts the signal handlers.
func (x *experimentState) handlers(ctx workflow.Context) error {
	if err := answerProgress(ctx, func() (study.ExperimentResult, error) { return x.res, nil }); err != nil {
		return err
	}
	update := func(_ workflow.Context, raw json.RawMessage) (string, error) {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return "", err
		}
		x.obey(c)
		return x.res.Status, nil
	}
	validate := func(raw json.RawMessage) error {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return err
		}
		return c.ForExperiment(x.res, x.paused)
	}
	options := workflow.UpdateHandlerOptions{Description: controlText, Validator: validate}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, update, options); err != nil {
		return err
	}
	workflow.Go(ctx, x.handleCommands)
	workflow.Go(ctx, x.handleProgress)
	return nil
}

// handleCommands obeys the commands that the sweep, or a user of the Web UI, sends. The page says why one was refused.
func (x *experimentState) handleCommands(ctx workflow.Context) {
	ch := workflow.GetSignalChannelWithOptions(ctx, SignalControl, aboutControl)
	for {
		var raw json.RawMessage
		ch.Receive(ctx, &raw)
		c, err := study.DecodeCommand(raw)
		if err == nil {
			err = c.ForExperiment(x.res, x.paused)
		}
		if err != nil {
			x.refused = fmt.Sprintf("the signal %s %s was refused: %s", SignalControl, raw, err)
			x.publish(ctx)
			continue
		}
		x.refused = ""
		x.obey(c)
	}
}

// handleProgress takes in what the running attempt tells: that it has begun, evaluations if something is
// decided by them, and now and then a checkpoint. It is no stream of progress: that is in the heartbeats.
func (x *experimentState) handleProgress(ctx workflow.Context) {
	ch := workflow.GetSignalChannelWithOptions(ctx, SignalProgress, aboutAttempts)
	for {
		var p study.Progress
		ch.Receive(ctx, &p)
		x.res.ToForget = x.res.ToForget && !p.Forgotten
		if x.outdated(p) {
			continue
		}
		x.lastStep = p.Step
		x.res.Take(p)
		x.res.FindUnheard(p, false)
		x.res.Holdup = protocol.Holdup{} // p says what holds the attempt up
		if x.attempt != nil {
			x.res.Attempts = x.attempt.number
		}
		if x.res.Status == study.StatusQueued {
			x.res.Status = study.StatusRunning
		}
		collapse := x.res.Evaluated(p)
		if collapse != "" && x.in.StopOnCollapse && x.attempt != nil {
			x.obey(study.Command{Action: study.ActionStop, Reason: collapse})
		}
		x.publish(ctx)
	}
}

// outdated says whether progress is older than what is known: signals may overtake each other,
// and those of an attempt may come after its end. Progress without a start of its attempt is
// never outdated.
func (x *experimentState) outdated(p study.Progress) bool {
	if p.StartedAt.IsZero() {
		return false
	}
	switch {
	case p.StartedAt.Equal(x.lastAttempt):
		return true
	case p.StartedAt.Equal(x.res.Progress.StartedAt):
		return p.Step < x.lastStep
	}
	return false
}

// obey does what a valid command wants. A running attempt is asked to save and end if it must.
func (x *experimentState) obey(c study.Command) {
	switch c.Action {
	case study.ActionResume:
		x.paused = false
		x.res.Status = study.StatusQueued
	case study.ActionPriority:
		x.in.Priority = c.Priority
		if x.res.Status == study.StatusQueued && x.attempt != nil { // it still waits for a host; otherwise the next attempt has the priority
			x.attempt.requeue = true
			x.cancelAttempt()
		}
	case study.ActionPause:
		x.paused = true
		x.cancelAttempt()
	default:
		x.command = c.Action
		x.res.Reason = c.Reason
		x.paused = false
		x.cancelAttempt()
	}
}
