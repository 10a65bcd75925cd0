package worker

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/workflows"
)

// registry is what both a worker and a replayer or test environment offer.
type registry interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
}

// RegisterWorkflows registers every workflow type by its name.
func RegisterWorkflows(r registry) {
	for name, w := range map[string]any{
		workflows.AllAblationsType:      workflows.AllAblations,
		workflows.TNSweepType:           workflows.TNSweep,
		workflows.BatchSweepType:        workflows.BatchSweep,
		workflows.PhaseType:             workflows.Phase,
		workflows.ExperimentType:        workflows.Experiment,
		workflows.DatasetGenerationType: workflows.DatasetGeneration,
		workflows.PreflightType:         workflows.Preflight,
	} {
		r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
}

// registerLight registers what never waits for a chip.
func registerLight(w worker.Worker, a *activities.Activities) {
	w.RegisterActivity(a.Plan)
	w.RegisterActivity(a.Status)
	w.RegisterActivity(a.StatusAll)
	w.RegisterActivity(a.Dataset)
	w.RegisterActivity(a.Ends)
	w.RegisterActivity(a.Heartbeats)
	w.RegisterActivity(a.Report)
	w.RegisterActivity(a.Pollers)
	w.RegisterActivity(a.Hosts)
	w.RegisterActivity(a.Follow)
	w.RegisterActivity(a.Extend)
	w.RegisterActivity(a.Fork)
}

// registerHost registers what runs on a host's slot.
func registerHost(w worker.Worker, a *activities.Activities) {
	w.RegisterActivity(a.Train)
	w.RegisterActivity(a.Preflight)
	w.RegisterActivity(a.Trial)
}
