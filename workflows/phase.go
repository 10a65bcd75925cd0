package workflows

import (
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
)

// Phase runs its experiments, at most Parallelism at once, and returns a row
// for each; a failed one is a row with an error.
func Phase(ctx workflow.Context, in PhaseInput) ([]ExperimentResult, error) {
	rows := make([]ExperimentResult, len(in.Items))
	for i, it := range in.Items {
		rows[i] = ExperimentResult{Item: it, Status: StatusQueued}
	}
	known := lookUp(ctx, in, rows)
	limit := int64(in.Input.Parallelism)
	if limit == 0 {
		limit = int64(len(in.Items))
	}
	slots := workflow.NewSemaphore(ctx, limit)
	wg := workflow.NewWaitGroup(ctx)
	for i := range rows {
		if rows[i].Status == StatusDone {
			continue
		}
		if err := slots.Acquire(ctx, 1); err != nil {
			rows[i].Status = StatusStopped
			continue
		}
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			defer slots.Release(1)
			rows[i] = runExperiment(ctx, in, rows[i], known[i])
		})
	}
	wg.Wait(ctx)
	return rows, nil
}

// lookUp asks the store once for all runs and fills in the rows of those that
// are finished. Where it cannot be asked, every experiment asks for itself.
func lookUp(ctx workflow.Context, in PhaseInput, rows []ExperimentResult) []*activities.RunStatus {
	known := make([]*activities.RunStatus, len(rows))
	if in.Input.Force {
		return known
	}
	var sts []activities.RunStatus
	err := workflow.ExecuteActivity(light(ctx, fmt.Sprintf("look for results of %d runs", len(rows))), acts.StatusAll, in.Items).Get(ctx, &sts)
	if err != nil || len(sts) != len(rows) {
		return known
	}
	var finished []ExperimentResult
	for i, st := range sts {
		if st.Error != "" {
			continue
		}
		known[i] = &st
		if st.Finished && rows[i].take(st) {
			finished = append(finished, rows[i])
		}
	}
	if len(finished) > 0 {
		_ = workflow.SignalExternalWorkflow(ctx, in.Sweep, "", SignalRows, finished).Get(ctx, nil)
	}
	return known
}

func runExperiment(ctx workflow.Context, in PhaseInput, row ExperimentResult, known *activities.RunStatus) ExperimentResult {
	it := row.Item
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          in.Sweep + "/" + in.Phase + "/" + it.ID,
		TaskQueue:           queues.Workflows,
		WaitForCancellation: true,
		ParentClosePolicy:   enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		Memo:                map[string]any{"spec_hash": it.SpecHash, "run": it.Run},
		StaticSummary:       it.Experiment,
	})
	var out ExperimentResult
	err := workflow.ExecuteChildWorkflow(co, ExperimentType,
		ExperimentInput{Item: &it, Sweep: in.Sweep, Known: known, Force: in.Input.Force, Priority: in.Input.Priority}).Get(ctx, &out)
	if err == nil {
		return out
	}
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		_ = app.Details(&row)
	case errors.As(err, &cancelled) && cancelled.HasDetails():
		_ = cancelled.Details(&row)
	}
	row.Item = it
	row.Status = StatusStopped
	if ctx.Err() == nil && !temporal.IsCanceledError(err) {
		row.Status, row.Error = StatusFailed, rootMessage(err)
	}
	return row
}

// rootMessage is what went wrong, without the layers of workflows above it.
func rootMessage(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}
