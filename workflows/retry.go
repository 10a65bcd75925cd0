package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
)

// Limits of the retry policy.
const (
	// MaxWithoutProgress attempts in a row that commit no new step end an experiment.
	MaxWithoutProgress = 5
	// MaxFailures attempts that fail for other reasons than preemption end an experiment.
	MaxFailures = 3
)

// retry decides whether another attempt is worth it after one that failed, and waits before it.
// It returns nil to try again, or the error to end with. The attempt began with step before committed.
//
//	error of the attempt           | counts as           | next attempt
//	invalid, final, unavailable    | -                   | none
//	preempted, heartbeat timeout   | preemption          | at once if it has committed a step
//	busy device                    | -                   | after a backoff
//	fenced by another workflow     | -                   | when that one has committed nothing for ten minutes
//	fenced by an attempt of ours   | failure             | after a backoff
//	anything else                  | failure             | after a backoff
//
// A new checkpoint sets the counts of failures and of attempts without progress back to zero.
func (x *experimentState) retry(ctx workflow.Context, err error, before int64) error {
	st, statusErr := x.runStatus(ctx) // the store knows best what is committed
	if statusErr == nil && !x.res.ToForget {
		x.res.CommittedStep = max(x.res.CommittedStep, st.CommittedStep)
	}
	x.res.WithoutCommit++
	if x.res.CommittedStep > before {
		x.res.WithoutCommit = 0
		x.res.Failures = 0
	}
	kind := kindOf(err)
	switch kind {
	case activities.ErrConfig, activities.ErrFinal, activities.ErrUnavailable:
		return err
	case activities.ErrPreempted:
		x.res.Preemptions++
	case activities.ErrBusy: // this run has not failed; MaxWithoutProgress ends it
	case activities.ErrFenced:
		ownedByAnother := st.Owner != "" && st.Owner != workflow.GetInfo(ctx).WorkflowExecution.ID
		if statusErr != nil || ownedByAnother {
			return x.observe(ctx)
		}
		x.res.Failures++ // by an attempt of our own that was thought dead
	default:
		x.res.Failures++
	}
	if x.res.WithoutCommit >= MaxWithoutProgress || x.res.Failures >= MaxFailures {
		return x.giveUp(err)
	}
	if kind == activities.ErrPreempted && x.res.WithoutCommit == 0 {
		return nil
	}
	backoff := x.in.Timeouts.Backoff
	if backoff == 0 {
		backoff = 5 * time.Second
	}
	return x.wait(ctx, backoff<<min(x.res.WithoutCommit, 6))
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
	}
	return activities.ErrFailed
}

// giveUp is the error that ends an experiment. What there is to do comes before the last
// error, which may be long and is cut in reports.
func (x *experimentState) giveUp(err error) error {
	host := ""
	if h := progressOf(err).Host; h != "" {
		host = " (on " + h + ")"
	}
	what := fmt.Sprintf("%s: gave up after %d attempts without a new checkpoint, %d of them failed",
		x.in.Item.ID, x.res.WithoutCommit, x.res.Failures)
	where := fmt.Sprintf("the last checkpoint is step %d of %d in runs/%s", x.res.CommittedStep, x.in.Item.TotalSteps, x.in.Item.Run)
	advice := fmt.Sprintf("when the cause is gone, `trmsweep retry %s` goes on from there", x.in.Item.ID)
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

// observe waits while another attempt, perhaps of another sweep, trains the run, and takes
// over once that has committed nothing for ten minutes. It ends at once when there is a command.
func (x *experimentState) observe(ctx workflow.Context) error {
	const patience = 10 // minutes
	committed := x.res.CommittedStep
	for minute := 1; minute <= patience; minute++ {
		if err := x.wait(ctx, time.Minute); err != nil {
			return err
		}
		if x.hasCommand() {
			return nil
		}
		st, err := x.runStatus(ctx)
		if err != nil {
			return err
		}
		if st.CommittedStep > committed {
			committed = st.CommittedStep
			minute = 0 // its patience begins anew
			if !x.res.ToForget {
				x.res.CommittedStep = committed
				x.res.WithoutCommit = 0
			}
		}
		if st.Finished {
			return nil // the next attempt finds it finished and returns its result, or forgets it
		}
	}
	return nil
}
