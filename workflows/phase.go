package workflows

import (
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/queues"
)

// Phase runs its experiments, at most Parallelism at once, and returns a row
// for each; a failed one is a row with an error.
func Phase(ctx workflow.Context, in PhaseInput) ([]ExperimentResult, error) {
	rows := make([]ExperimentResult, len(in.Items))
	limit := int64(in.Input.Parallelism)
	if limit == 0 {
		limit = int64(len(in.Items))
	}
	slots := workflow.NewSemaphore(ctx, limit)
	wg := workflow.NewWaitGroup(ctx)
	for i, it := range in.Items {
		rows[i] = ExperimentResult{Item: it, Status: StatusQueued}
		if err := slots.Acquire(ctx, 1); err != nil {
			rows[i].Status = StatusStopped
			continue
		}
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			defer slots.Release(1)
			rows[i] = runExperiment(ctx, in, rows[i])
		})
	}
	wg.Wait(ctx)
	return rows, nil
}

func runExperiment(ctx workflow.Context, in PhaseInput, row ExperimentResult) ExperimentResult {
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
		ExperimentInput{Item: &it, Sweep: in.Sweep, Force: in.Input.Force, Priority: in.Input.Priority}).Get(ctx, &out)
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
