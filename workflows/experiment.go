package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// acts names the activities; it is never called.
var acts *activities.Activities

// Experiment trains one run to its end through any number of preemptions.
//
// Every attempt is one activity without a retry policy: whether another attempt
// is worth it depends on whether the last one committed steps, which the server
// cannot know and this loop does.
func Experiment(ctx workflow.Context, raw json.RawMessage) (study.ExperimentResult, error) {
	var in ExperimentInput
	wrong := study.DecodeStrict(raw, &in)
	if in.Item != nil {
		wrong = append(wrong, activities.ItemFaults(*in.Item)...)
	}
	wrong = append(wrong, in.Timeouts.faults()...)
	x := &training{in: in, wrong: wrong, paused: in.Paused}
	if in.Carried != nil {
		x.res = *in.Carried
		x.ended = x.res.Progress.StartedAt
	}
	if err := x.handlers(ctx); err != nil {
		return x.res, err
	}
	if err := x.resolve(ctx); err != nil {
		return x.res, err
	}
	err := x.run(ctx)
	if workflow.IsContinueAsNewError(err) {
		return x.res, err
	}
	x.publish(ctx)
	if x.sent != nil {
		// The server drops signals of a workflow that has closed: wait for the last
		// one. Its failure does not matter: a sweep that has ended needs no row.
		done, cancel := workflow.NewDisconnectedContext(ctx)
		defer cancel()
		_ = x.sent.Get(done, nil)
	}
	return x.res, x.end(err)
}

// end puts the books into the error, which is all that a parent sees of a child that failed.
func (x *training) end(err error) error {
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

// training is the state of one Experiment workflow.
type training struct {
	in      ExperimentInput
	wrong   []string // what is wrong with the input
	res     study.ExperimentResult
	wish    string // the user's last action that is not answered yet
	paused  bool
	stop    workflow.CancelFunc // of the running attempt
	told    bool                // the running attempt was told to stop by us
	shown   visible
	lastRow string
	began   bool            // a host has taken the last attempt
	requeue bool            // the attempt gives its place in the queue up for another
	sent    workflow.Future // the last row's signal to the sweep
	ended   time.Time       // when the last attempt that has ended began, by its host
}

// resolve plans the experiment where it was started by a user.
func (x *training) resolve(ctx workflow.Context) error {
	if x.in.Item == nil || len(x.wrong) > 0 {
		name := x.in.Experiment
		if name == "" {
			name = "e1_1_baseline"
		}
		si := study.SweepInput{Profile: x.in.Profile, Overrides: x.in.Overrides, Priority: x.in.Priority}
		if x.in.Seed != 0 {
			si.Seeds = []int64{x.in.Seed}
		}
		p, err := planStep(ctx, activities.PlanInput{Names: []string{name}, Input: si, Faults: append(x.wrong, si.Faults()...)})
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

// run is the loop over attempts.
func (x *training) run(ctx workflow.Context) error {
	if done, err := x.reuse(ctx); err != nil || done {
		return err
	}
	for {
		if err := x.wait(ctx); err != nil {
			return err
		}
		if end := x.wished(); end != "" {
			x.res.Status = end
			return nil
		}
		before := x.res.CommittedStep
		err := x.attempt(ctx)
		if err == nil {
			x.res.Status = study.StatusDone
			return nil
		}
		if ctx.Err() != nil {
			x.res.Status = study.StatusStopped
			return ctx.Err()
		}
		if x.requeue {
			x.requeue = false
			if !x.began {
				x.res.Attempts--
			}
			continue
		}
		if x.disturbed() || x.obeyed(ctx, err) {
			continue
		}
		if err := x.judge(ctx, err, before); err != nil {
			x.res.Status, x.res.Error = study.StatusFailed, err.Error()
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) && x.wish == "" {
			in := x.in
			in.Carried, in.Paused = &x.res, x.paused
			return workflow.NewContinueAsNewError(ctx, ExperimentType, in)
		}
	}
}

// obeyed says whether an attempt ended because it was told to, though the user
// has taken the wish back since: a pause, resumed while it still saved.
func (x *training) obeyed(ctx workflow.Context, err error) bool {
	return x.told && temporal.IsCanceledError(err) &&
		workflow.GetVersion(ctx, "resumed-while-saving", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// reuse takes a finished run's result from the store, unless it shall be forgotten.
func (x *training) reuse(ctx workflow.Context) (bool, error) {
	if x.in.Carried != nil {
		return false, nil
	}
	if x.in.Force {
		x.res.ToForget = workflow.GetVersion(ctx, "forget-until-forgotten", workflow.DefaultVersion, 1) != workflow.DefaultVersion
		return false, nil
	}
	var st study.RunStatus
	var err error
	if x.in.Known != nil {
		st = *x.in.Known
	} else if st, err = x.status(ctx); err != nil {
		x.res.Status, x.res.Error = study.StatusFailed, err.Error()
		return false, err
	}
	return x.res.Reuse(st), nil
}

func (x *training) status(ctx workflow.Context) (study.RunStatus, error) {
	var st study.RunStatus
	err := workflow.ExecuteActivity(light(ctx, "look for results of "+x.in.Item.Run), acts.Status, *x.in.Item).Get(ctx, &st)
	return st, err
}

// wait holds while the experiment is paused.
func (x *training) wait(ctx workflow.Context) error {
	if x.paused {
		x.res.Status = study.StatusPaused
		x.publish(ctx)
	}
	err := workflow.Await(ctx, func() bool { return !x.paused })
	if err == nil && x.res.Status == study.StatusPaused {
		x.res.Status = study.StatusQueued
	}
	if err != nil {
		x.res.Status = study.StatusStopped
	}
	return err
}

// wished answers the user's wish: the status to end with, or "" to go on.
func (x *training) wished() string {
	wish := x.wish
	x.wish = ""
	switch wish {
	case study.ActionSkip:
		return study.StatusSkipped
	case study.ActionStop:
		return study.StatusStopped
	case study.ActionRetry:
		x.res.WithoutCommit, x.res.Failures = 0, 0
	}
	return ""
}

// attempt is one training activity from queue to end, with its books.
func (x *training) attempt(ctx workflow.Context) error {
	x.res.Attempts++
	x.res.Status = study.StatusQueued
	x.publish(ctx)
	actx, cancel := workflow.WithCancel(x.trainOptions(ctx))
	x.stop, x.told = cancel, false
	asked := workflow.Now(ctx)
	var out activities.TrainResult
	err := workflow.ExecuteActivity(actx, acts.Train, activities.TrainInput{Item: *x.in.Item, Attempt: x.res.Attempts, Force: x.in.Force, Forget: x.res.ToForget}).Get(ctx, &out)
	x.stop = nil
	p := out.Progress
	if err != nil {
		p = progressOf(err)
	} else {
		x.res.StateSHA256 = out.StateSHA256
	}
	x.began = !p.StartedAt.IsZero()
	x.res.ToForget = x.res.ToForget && !p.Forgotten && err != nil
	if x.ended = p.StartedAt; !x.began {
		x.ended = x.res.Progress.StartedAt
	}
	if p.Step > 0 || p.CommittedStep > 0 {
		x.res.Progress = p
	}
	x.res.CommittedStep = max(x.res.CommittedStep, p.CommittedStep)
	x.res.Account(p, asked, workflow.Now(ctx), err == nil)
	return err
}

func (x *training) trainOptions(ctx workflow.Context) workflow.Context {
	hb := x.in.Timeouts.Heartbeat
	if hb == 0 {
		hb = 30 * time.Second
	}
	key := x.in.Priority
	if key == 0 {
		key = 3
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Hosts,
		StartToCloseTimeout: 60 * 24 * time.Hour,
		HeartbeatTimeout:    hb,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
		Priority:            temporal.Priority{PriorityKey: key, FairnessKey: fairnessKey(ctx)},
		Summary:             fmt.Sprintf("%s, attempt %d from step %d of %d", x.in.Item.ID, x.res.Attempts, x.res.CommittedStep, x.in.Item.TotalSteps),
	})
}

// fairnessKey shares hosts between sweeps: it is the id of the workflow that the user started.
func fairnessKey(ctx workflow.Context) string {
	info := workflow.GetInfo(ctx)
	id := info.WorkflowExecution.ID
	if root := info.RootWorkflowExecution; root != nil {
		id = root.ID
	}
	return id[:min(len(id), 64)]
}

// progressOf reads the progress that an error carries.
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
