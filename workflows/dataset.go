package workflows

import (
	"encoding/json"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// DatasetGenerationType is the name of the workflow DatasetGeneration.
const DatasetGenerationType = "DatasetGeneration"

// DatasetGenerationInput names specs (sweeps do) or what a user wants data for.
type DatasetGenerationInput struct {
	SpecKeys    []string `json:"spec_keys,omitempty"`
	Profile     string   `json:"profile,omitempty"`
	Experiments []string `json:"experiments,omitempty"` // sweeps, phases, experiments; none = AllAblations
	Overrides   []string `json:"overrides,omitempty"`
}

// DatasetGeneration makes the datasets exist in the store; the second time it is a no-op.
func DatasetGeneration(ctx workflow.Context, raw json.RawMessage) (activities.DatasetResult, error) {
	var in DatasetGenerationInput
	var out activities.DatasetResult
	faults := append(study.DecodeStrict(raw, &in), activities.SpecKeyFaults(in.SpecKeys)...)
	if err := answerProgress(ctx, func() (activities.DatasetResult, error) { return out, nil }); err != nil {
		return out, err
	}
	if len(in.SpecKeys) == 0 || len(faults) > 0 {
		input := study.SweepInput{Profile: in.Profile, Overrides: in.Overrides}
		p, err := plan(ctx, activities.PlanInput{Names: in.Experiments, Input: input, Faults: faults})
		if err != nil {
			return out, err
		}
		in.SpecKeys = specKeys(p.Items)
	}
	specs := activities.DatasetInput{SpecKeys: in.SpecKeys}
	err := workflow.ExecuteActivity(lightActivity(ctx, "datasets"), acts.Dataset, specs).Get(ctx, &out)
	return out, err
}

// specKeys are the keys of the items' specs in the store, each run once.
func specKeys(items []study.Item) []string {
	var keys []string
	for _, it := range items {
		if it.SameAs == "" {
			keys = append(keys, it.SpecKey)
		}
	}
	return keys
}

// makeDatasets makes the items' datasets exist, in a child workflow of its own.
func makeDatasets(ctx workflow.Context, items []study.Item) error {
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:    fmt.Sprintf("%s/dataset", workflow.GetInfo(ctx).WorkflowExecution.ID),
		TaskQueue:     queues.Workflows,
		StaticSummary: "dataset",
	})
	in := DatasetGenerationInput{SpecKeys: specKeys(items)}
	return workflow.ExecuteChildWorkflow(child, DatasetGenerationType, in).Get(ctx, nil)
}
