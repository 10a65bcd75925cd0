package workflows

import (
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// PhaseInput is one phase of a sweep, or a part of a long one.
type PhaseInput struct {
	Sweep      string           `json:"sweep"`
	Phase      string           `json:"phase"`
	Rows       []PhaseRow       `json:"rows"`
	Input      study.SweepInput `json:"input"`
	Code       string           `json:"code,omitempty"` // version that planned the sweep
	StatusOnly bool             `json:"status_only,omitempty"`
}

// PhaseRow is one experiment of a phase.
type PhaseRow struct {
	Item     study.Item       `json:"item"`
	Known    *study.RunStatus `json:"known,omitempty"`    // what the store had when the sweep looked
	Paused   bool             `json:"paused,omitempty"`   // it begins with a pause
	Priority int              `json:"priority,omitempty"` // of its own; 0 = the sweep's
}

// experimentID is the workflow id of a sweep's experiment.
func experimentID(sweep string, it study.Item) string { return sweep + "/" + it.Phase + "/" + it.ID }

// startExperiment runs one experiment as a child. One that is started again gets what came before.
func startExperiment(ctx workflow.Context, in PhaseInput, start PhaseRow, before *study.ExperimentResult) workflow.ChildWorkflowFuture {
	it := start.Item
	priority := start.Priority
	if priority == 0 {
		priority = in.Input.Priority
	}
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:          experimentID(in.Sweep, it),
		TaskQueue:           queues.Workflows,
		WaitForCancellation: true,
		ParentClosePolicy:   enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		Memo:                map[string]any{"spec_hash": it.SpecHash, "run": it.Run, "code": in.Code},
		StaticSummary:       it.Experiment,
	})
	return workflow.ExecuteChildWorkflow(child, ExperimentType, ExperimentInput{
		Item:            &it,
		Sweep:           in.Sweep,
		Known:           start.Known,
		Carried:         before,
		Paused:          start.Paused,
		Priority:        priority,
		Force:           in.Input.Force && before == nil,
		StopOnCollapse:  in.Input.StopOnCollapse,
		StatusOnly:      in.StatusOnly,
		EveryEvaluation: in.Input.Halving > 0,
	})
}

// awaitExperiment waits for an experiment and returns its result, whatever became of it.
func awaitExperiment(ctx workflow.Context, child workflow.ChildWorkflowFuture, result study.ExperimentResult) study.ExperimentResult {
	it := result.Item
	var out study.ExperimentResult
	err := child.Get(ctx, &out)
	if err == nil {
		return out
	}
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &app) && app.HasDetails():
		_ = app.Details(&result)
	case errors.As(err, &cancelled) && cancelled.HasDetails():
		_ = cancelled.Details(&result)
	}
	result.Item = it
	result.Status = study.StatusStopped
	if ctx.Err() == nil && !temporal.IsCanceledError(err) {
		result.Status = study.StatusFailed
		result.Error = rootMessage(err)
	}
	return result
}
