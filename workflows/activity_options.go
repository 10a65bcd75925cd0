package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
)

// acts names the activities; it is never called.
var acts *activities.Activities

// lightActivity is the context of activities that never wait for a chip.
func lightActivity(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Light,
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 20},
		Priority:            temporal.Priority{FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
	})
}

// hostActivity is the context of short activities that need a training slot. They come before training that waits.
func hostActivity(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Hosts,
		StartToCloseTimeout: 2 * time.Hour,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 5},
		Priority:            temporal.Priority{PriorityKey: 1, FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
	})
}

// trainActivity is the context of one training attempt. It has no retries: see Experiment.
func trainActivity(ctx workflow.Context, heartbeat time.Duration, priority int, summary string) workflow.Context {
	if heartbeat == 0 {
		heartbeat = 30 * time.Second
	}
	if priority == 0 {
		priority = 3
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Hosts,
		StartToCloseTimeout: 60 * 24 * time.Hour,
		HeartbeatTimeout:    heartbeat,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
		Priority:            temporal.Priority{PriorityKey: priority, FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
	})
}

// followActivity is the context of waiting for another experiment's attempt, as long as that may take.
func followActivity(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Light,
		StartToCloseTimeout: 60 * 24 * time.Hour,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
		Priority:            temporal.Priority{FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
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

// plan resolves, validates and stores the specs. Its error names all faults of an input at once.
func plan(ctx workflow.Context, in activities.PlanInput) (activities.Plan, error) {
	var p activities.Plan
	in.Sweep = workflow.GetInfo(ctx).WorkflowExecution.ID
	err := workflow.ExecuteActivity(lightActivity(ctx, fmt.Sprintf("resolve and validate %v", in.Names)), acts.Plan, in).Get(ctx, &p)
	return p, err
}

// rootMessage is what went wrong, without the layers of workflows above it.
func rootMessage(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}
