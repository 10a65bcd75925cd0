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

// judge decides whether another attempt is worth it: nil, or the error to end with.
func (x *training) judge(ctx workflow.Context, err error, before int64) error {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	kind := activities.ErrFailed
	switch {
	case errors.As(err, &app):
		kind = app.Type()
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_HEARTBEAT:
		kind = activities.ErrPreempted
	}
	st, serr := x.status(ctx) // the truth about progress is the store
	if serr == nil && !x.res.ToForget {
		x.res.CommittedStep = max(x.res.CommittedStep, st.CommittedStep)
	}
	x.res.WithoutCommit++
	if x.res.CommittedStep > before {
		x.res.WithoutCommit, x.res.Failures = 0, 0
	}
	switch kind {
	case activities.ErrConfig, activities.ErrFinal, activities.ErrUnavailable:
		return err
	case activities.ErrPreempted:
		x.res.Preemptions++
	case activities.ErrBusy: // no failure of this run; MaxWithoutProgress bounds it
	case activities.ErrFenced:
		if serr != nil || st.Owner != "" && st.Owner != workflow.GetInfo(ctx).WorkflowExecution.ID {
			return x.observe(ctx)
		}
		x.res.Failures++ // an attempt of our own that was thought dead
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
	return x.rest(ctx, backoff<<min(x.res.WithoutCommit, 6))
}

// giveUp is the error that ends an experiment: what there is to do comes before the
// last error, which may be long and is cut in reports.
func (x *training) giveUp(err error) error {
	where := ""
	if host := progressOf(err).Host; host != "" {
		where = " (on " + host + ")"
	}
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s: gave up after %d attempts without a new checkpoint, %d of them failed; the last checkpoint is step %d of %d in runs/%s; when the cause is gone, `trmsweep retry %s` goes on from there; the last error%s: %s",
		x.in.Item.ID, x.res.WithoutCommit, x.res.Failures, x.res.CommittedStep, x.in.Item.TotalSteps, x.in.Item.Run, x.in.Item.ID, where, rootMessage(err)), activities.ErrFinal, err)
}

// rest waits, until the user wants something of the experiment.
func (x *training) rest(ctx workflow.Context, d time.Duration) error {
	tctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimer(tctx, d)
	if err := workflow.Await(ctx, func() bool { return timer.IsReady() || x.disturbed() }); err != nil {
		return err
	}
	if !timer.IsReady() && workflow.GetVersion(ctx, "wishes-end-waits", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		return nil
	}
	return timer.Get(ctx, nil)
}

// disturbed says whether the user wants something that the loop over attempts answers.
func (x *training) disturbed() bool { return x.paused || x.wish != "" }

// observe waits while another attempt, perhaps of another sweep, trains the
// run, and takes over once it has committed nothing for ten minutes. It ends at
// once when the user wants something.
func (x *training) observe(ctx workflow.Context) error {
	quiet, seen := 0, x.res.CommittedStep
	for quiet < 10 {
		if err := x.rest(ctx, time.Minute); err != nil {
			return err
		}
		if x.disturbed() && workflow.GetVersion(ctx, "wishes-end-waits", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
			return nil
		}
		st, err := x.status(ctx)
		if err != nil {
			return err
		}
		quiet++
		if st.CommittedStep > seen {
			quiet, seen = 0, st.CommittedStep
			if !x.res.ToForget {
				x.res.CommittedStep, x.res.WithoutCommit = seen, 0
			}
		}
		if st.Finished {
			return nil // the next attempt finds it finished and returns its result, or forgets it
		}
	}
	return nil
}
