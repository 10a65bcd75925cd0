package workflows

import (
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
	"trmsweep/internal/standing"
	"trmsweep/internal/study"
)

// PhaseInput is one phase of a sweep, or a part of a long one.
type PhaseInput struct {
	Sweep string           `json:"sweep"`
	Phase string           `json:"phase"`
	Rows  []PhaseRow       `json:"rows"`
	Input study.SweepInput `json:"input"`
	Code  string           `json:"code,omitempty"` // version that planned the sweep
}

// PhaseRow is one experiment of a phase.
type PhaseRow struct {
	Item     study.Item       `json:"item"`
	Known    *study.RunStatus `json:"known,omitempty"`    // what the store had when the sweep looked
	Paused   bool             `json:"paused,omitempty"`   // it begins with a pause
	Priority int              `json:"priority,omitempty"` // of its own; 0 = the sweep's
	Restarts int              `json:"restarts,omitempty"` // see study.Standing
}

// experimentID is the workflow id of a sweep's experiment.
func experimentID(sweep string, it study.Item) string { return sweep + "/" + it.Phase + "/" + it.ID }

// statusAtStart is the status of an experiment that has not begun.
func statusAtStart(paused bool) string {
	if paused {
		return study.StatusPaused
	}
	return study.StatusQueued
}

// holdupAtStart is what an experiment waits for that has not begun.
func holdupAtStart(paused bool) string {
	if paused {
		return protocol.HoldupPaused
	}
	return protocol.HoldupNoSlot
}

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
		// The list shows an experiment as what it is before it has said so, also without a worker.
		TypedSearchAttributes: temporal.NewSearchAttributes(
			attrSweep.ValueSet(in.Sweep), attrPhase.ValueSet(it.Phase), attrExperiment.ValueSet(it.Experiment),
			attrStatus.ValueSet(statusAtStart(start.Paused)), attrHoldup.ValueSet(holdupAtStart(start.Paused)),
		),
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
		Restarts:        start.Restarts,
		EveryEvaluation: in.Input.Halving > 0,
	})
}

// awaitExperiment waits for an experiment and returns its row, whatever became of it.
func awaitExperiment(ctx workflow.Context, child workflow.ChildWorkflowFuture, result study.ExperimentResult) study.ExperimentResult {
	var out study.ExperimentResult
	err := child.Get(ctx, &out)
	end := standing.EndOf(&out, err)
	if end.Result == nil {
		askStore(ctx, &result)
	}
	return result.After(end)
}

// askStore asks how far a run has come whose experiment could not say it.
func askStore(ctx workflow.Context, r *study.ExperimentResult) {
	connected, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var st study.RunStatus
	summary := "how far " + r.Item.ID + " has come"
	if err := workflow.ExecuteActivity(lightActivity(connected, summary), acts.Status, r.Item).Get(connected, &st); err == nil {
		r.Saved(st.CommittedStep)
	}
}
