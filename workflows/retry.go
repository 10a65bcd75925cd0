package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// retry decides whether another attempt is worth it after one that failed, and waits before it.
// It returns nil to try again, or the error to end with. The attempt began with step before committed.
//
//	error of the attempt           | next attempt
//	invalid, final, unavailable    | none
//	preempted, heartbeat timeout   | at once if it has committed a step, else after a backoff that grows
//	fenced by another workflow     | when nobody trains the run any more: see follow
//	fenced by an attempt of ours   | after a backoff
//	anything else                  | on another host, or after a backoff: see study.Judge
//
// A new checkpoint sets the counts of failures and of attempts without progress back to zero.
func (x *experimentState) retry(ctx workflow.Context, err error, before int64) error {
	st, statusErr := x.runStatus(ctx) // the store knows best what is committed
	if statusErr == nil && !x.res.ToForget {
		x.res.CommittedStep = max(x.res.CommittedStep, st.CommittedStep)
	}
	progress := x.res.CommittedStep > before
	if progress {
		x.res.Committed()
	} else {
		x.res.WithoutCommit++
	}
	p := progressOf(err)
	f := study.Failure{Host: p.Worker, Step: p.Step, Why: rootMessage(err)}
	switch kindOf(err) {
	case activities.ErrConfig, activities.ErrFinal, activities.ErrUnavailable:
		return err
	case activities.ErrPreempted:
		x.res.Preemptions++
		if progress {
			return nil
		}
		f.Kind = study.FailurePreempted
		f.Why = p.Killed
	case activities.ErrFenced:
		ownedByAnother := st.Owner != "" && st.Owner != workflow.GetInfo(ctx).WorkflowExecution.ID
		if statusErr != nil || ownedByAnother {
			return x.follow(ctx, "it has taken the run in the same moment")
		}
		f = study.Failure{Kind: study.FailurePreempted} // by an attempt of our own that was thought dead
	case activities.ErrHost, activities.ErrBusy:
		f.Kind = study.FailureHost
	case activities.ErrUnfit:
		f.Kind = study.FailureUnfit
	}
	return x.bear(ctx, f, err)
}

// bear books a failure, and waits as long as it asks for or ends the experiment.
func (x *experimentState) bear(ctx workflow.Context, f study.Failure, err error) error {
	backoff := x.in.Timeouts.Backoff
	if backoff == 0 {
		backoff = 5 * time.Second
	}
	if f.Kind != study.FailurePreempted { // who lives decides only where the next attempt of a preempted one goes
		x.living = livingHosts(ctx)
	}
	j := x.res.Judge(f, x.living, workflow.Now(ctx), backoff)
	if j.End != "" {
		return x.giveUp(err, j.End)
	}
	if j.Wait == 0 {
		return nil
	}
	x.living = nil // another may live after the wait
	x.res.Status = study.StatusQueued
	x.holdUp(ctx, protocol.HoldupBackoff, fmt.Sprintf("the next one comes after %s", j.Wait))
	return x.wait(ctx, j.Wait)
}

// livingHosts asks which hosts live; nobody if that cannot be known.
func livingHosts(ctx workflow.Context) []study.LivingHost {
	var living []study.LivingHost
	err := workflow.ExecuteActivity(lightActivity(ctx, "ask which hosts live"), acts.Hosts).Get(ctx, &living)
	if err != nil {
		return nil
	}
	return living
}

// kindOf is the type of an attempt's error: one of the activities' error types.
func kindOf(err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app):
		return app.Type()
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_HEARTBEAT:
		return activities.ErrPreempted
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return activities.ErrNoSlot
	}
	return activities.ErrFailed
}

// giveUp is the error that ends an experiment. What there is to do comes before the last
// error, which may be long and is cut in reports.
func (x *experimentState) giveUp(err error, why string) error {
	host := ""
	if h := progressOf(err).Worker; h != "" {
		host = " (on " + h + ")"
	}
	what := fmt.Sprintf("gave up after %d attempts without a new checkpoint: %s", x.res.WithoutCommit, why)
	where := fmt.Sprintf("the last checkpoint is step %d of %d in runs/%s", x.res.CommittedStep, x.in.Item.TotalSteps, x.in.Item.Run)
	advice := "when the cause is gone, start the same experiment again: it goes on from there"
	if x.in.Sweep != "" {
		advice = fmt.Sprintf("when the cause is gone, `trmsweep retry %s --sweep %s` goes on from there, "+
			"or says how to start the sweep again if that has ended", x.in.Item.ID, x.in.Sweep)
	}
	last := fmt.Sprintf("the last error%s: %s", host, rootMessage(err))
	return temporal.NewNonRetryableApplicationError(what+"; "+where+"; "+advice+"; "+last, activities.ErrFinal, err)
}

// wait waits for a time, or until there is a command.
func (x *experimentState) wait(ctx workflow.Context, d time.Duration) error {
	tctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimer(tctx, d)
	return workflow.Await(ctx, func() bool { return timer.IsReady() || x.hasCommand() })
}

// follow waits while an attempt of another experiment, perhaps of another sweep, trains the run. It ends when nobody does
// who lives, or at once when there is a command. The row is done then if the run is finished; otherwise the next attempt takes it.
func (x *experimentState) follow(ctx workflow.Context, by string) error {
	x.res.Status = study.StatusQueued
	x.holdUp(ctx, protocol.HoldupOtherRun, by)
	fctx, cancel := workflow.WithCancel(followActivity(ctx, "wait for the attempt that trains "+x.in.Item.Run))
	defer cancel()
	watch := workflow.ExecuteActivity(fctx, acts.Follow, *x.in.Item)
	if err := workflow.Await(ctx, func() bool { return watch.IsReady() || x.hasCommand() }); err != nil {
		return err
	}
	x.res.Holdup = protocol.Holdup{}
	if !watch.IsReady() {
		return nil
	}
	var st study.RunStatus
	if err := watch.Get(ctx, &st); err != nil {
		return err
	}
	if x.res.ToForget {
		return nil
	}
	if st.CommittedStep > x.res.CommittedStep {
		x.res.CommittedStep = st.CommittedStep
		x.res.Committed()
	}
	if st.Finished {
		x.res.Inherit(st)
	}
	return nil
}
