package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/study"
)

// PreflightType is the name of the workflow Preflight.
const PreflightType = "Preflight"

// PreflightInput says for what the hosts must be fit.
type PreflightInput struct {
	Profile     string   `json:"profile,omitempty"`
	Experiments []string `json:"experiments,omitempty"` // sweeps, phases, experiments; none = AllAblations
	Overrides   []string `json:"overrides,omitempty"`
	Preflight   string   `json:"preflight,omitempty"` // full or checks
}

// Preflight runs the checks of a host, makes the datasets, tries every model
// shape, and fails with the table if one fails.
func Preflight(ctx workflow.Context, raw json.RawMessage) (preflight.Table, error) {
	var in PreflightInput
	t := preflight.Table{OK: true}
	faults := study.DecodeStrict(raw, &in)
	if !slices.Contains([]string{"", study.PreflightFull, study.PreflightChecks}, in.Preflight) {
		faults = append(faults, fmt.Sprintf("input: preflight %q (full, checks)", in.Preflight))
	}
	if err := answerProgress(ctx, func() (preflight.Table, error) { return t, nil }); err != nil {
		return t, err
	}
	si := study.SweepInput{Profile: in.Profile, Overrides: in.Overrides, Preflight: in.Preflight}
	p, err := plan(ctx, activities.PlanInput{Names: in.Experiments, Input: si, Faults: faults})
	if err != nil {
		return t, err
	}
	shapes := distinctShapes(p.Items)
	t.Add(hostChecks(ctx, p.Items)...)
	datasets := preflight.Row{Check: "datasets", OK: true, Detail: "they are in the store"}
	if err := makeDatasets(ctx, p.Items); err != nil {
		datasets.OK = false
		datasets.Detail = rootMessage(err)
	}
	t.Add(datasets)
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
	if err := workflow.ExecuteActivity(lightActivity(ctx, "look for workers"), acts.Pollers).Get(ctx, &workers); err != nil {
		workers = preflight.Row{Check: "workers", Detail: rootMessage(err)}
	}
	if !workers.OK {
		return []preflight.Row{workers} // nobody would run the others
	}
	in := activities.PreflightInput{SpecKeys: specKeys(items)}
	var t preflight.Table
	if err := workflow.ExecuteActivity(hostActivity(ctx, "checks of a host"), acts.Preflight, in).Get(ctx, &t); err != nil {
		t.Add(preflight.Row{Check: "host", Detail: rootMessage(err)})
	}
	return append([]preflight.Row{workers}, t.Rows...)
}

// trials tries every shape, on as many hosts as are free.
func trials(ctx workflow.Context, shapes []study.Item) []preflight.Row {
	var waiting []workflow.Future
	for _, it := range shapes {
		actx := hostActivity(ctx, "trial of "+it.ID)
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
