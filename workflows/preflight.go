package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// PreflightInput says for what the hosts must be fit.
type PreflightInput struct {
	Profile     string   `json:"profile,omitempty"`
	Experiments []string `json:"experiments,omitempty"` // sweeps, phases, experiments; none = AllAblations
	Overrides   []string `json:"overrides,omitempty"`
	Preflight   string   `json:"preflight,omitempty"` // full or checks
}

// Preflight runs the checks of a host, makes the datasets, tries every model
// shape, and fails with the table where one fails.
func Preflight(ctx workflow.Context, raw json.RawMessage) (preflight.Table, error) {
	var in PreflightInput
	t := preflight.Table{OK: true}
	wrong := study.DecodeStrict(raw, &in)
	if !slices.Contains([]string{"", study.PreflightFull, study.PreflightChecks}, in.Preflight) {
		wrong = append(wrong, fmt.Sprintf("input: preflight %q (full, checks)", in.Preflight))
	}
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (preflight.Table, error) { return t, nil }); err != nil {
		return t, err
	}
	si := study.SweepInput{Profile: in.Profile, Overrides: in.Overrides, Preflight: in.Preflight}
	p, err := planStep(ctx, activities.PlanInput{Names: in.Experiments, Input: si, Faults: wrong})
	if err != nil {
		return t, err
	}
	shapes := distinctShapes(p.Items)
	t.Add(hostChecks(ctx, p.Items)...)
	row := preflight.Row{Check: "datasets", OK: true, Detail: "they are in the store"}
	if err := makeDatasets(ctx, p.Items); err != nil {
		row.OK, row.Detail = false, rootMessage(err)
	}
	t.Add(row)
	if t.OK && in.Preflight != study.PreflightChecks {
		t.Add(trials(ctx, shapes)...)
	}
	workflow.SetCurrentDetails(ctx, t.Markdown())
	return t, preflightError(t)
}

// preflightError says which checks failed; the whole table goes with it.
func preflightError(t preflight.Table) error {
	var faults []string
	for _, r := range t.Faults() {
		faults = append(faults, r.Check+": "+r.Detail)
	}
	if len(faults) == 0 {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(strings.Join(faults, "; "), activities.ErrConfig, nil, t)
}

// distinctShapes is one item per shape of model, the one with the largest batch.
func distinctShapes(items []study.Item) []study.Item {
	runs := slices.DeleteFunc(slices.Clone(items), func(it study.Item) bool { return it.SameAs != "" })
	return preflight.OnePerShape(runs, func(it study.Item) string { return it.Shape }, func(it study.Item) int { return it.Batch })
}

// hostChecks asks the server for workers and one training host for its checks.
func hostChecks(ctx workflow.Context, items []study.Item) []preflight.Row {
	var workers preflight.Row
	if err := workflow.ExecuteActivity(light(ctx, "look for workers"), acts.Pollers).Get(ctx, &workers); err != nil {
		workers = preflight.Row{Check: "workers", Detail: rootMessage(err)}
	}
	if !workers.OK {
		return []preflight.Row{workers} // nobody would run the others
	}
	var in activities.PreflightInput
	for _, it := range items {
		if it.SameAs == "" {
			in.SpecKeys = append(in.SpecKeys, it.SpecKey)
		}
	}
	var t preflight.Table
	if err := workflow.ExecuteActivity(onHost(ctx, "checks of a host"), acts.Preflight, in).Get(ctx, &t); err != nil {
		t.Add(preflight.Row{Check: "host", Detail: rootMessage(err)})
	}
	return append([]preflight.Row{workers}, t.Rows...)
}

// trials tries every shape, on as many hosts as are free.
func trials(ctx workflow.Context, shapes []study.Item) []preflight.Row {
	var waiting []workflow.Future
	for _, it := range shapes {
		actx := onHost(ctx, "trial of "+it.ID)
		waiting = append(waiting, workflow.ExecuteActivity(actx, acts.Trial, activities.TrialInput{ID: it.ID, SpecKey: it.SpecKey}))
	}
	rows := make([]preflight.Row, len(shapes))
	for i, f := range waiting {
		if err := f.Get(ctx, &rows[i]); err != nil {
			rows[i] = preflight.Row{Check: "trial of " + shapes[i].ID, Detail: rootMessage(err)}
		}
	}
	return rows
}

// onHost is the context of short activities that need a training slot: they come before training that waits.
func onHost(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queues.Hosts,
		StartToCloseTimeout: 2 * time.Hour,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 5},
		Priority:            temporal.Priority{PriorityKey: 1, FairnessKey: fairnessKey(ctx)},
		Summary:             summary,
	})
}

// makeDatasets makes the items' datasets exist, in a child workflow of its own.
func makeDatasets(ctx workflow.Context, items []study.Item) error {
	var in DatasetGenerationInput
	for _, it := range items {
		if it.SameAs == "" {
			in.SpecKeys = append(in.SpecKeys, it.SpecKey)
		}
	}
	id := fmt.Sprintf("%s/dataset", workflow.GetInfo(ctx).WorkflowExecution.ID)
	co := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id, TaskQueue: queues.Workflows, StaticSummary: "dataset"})
	return workflow.ExecuteChildWorkflow(co, DatasetGenerationType, in).Get(ctx, nil)
}
