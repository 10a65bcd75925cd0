package workflows

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
	"trmsweep/internal/study"
)

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
	wrong := append(study.DecodeStrict(raw, &in), activities.SpecKeyFaults(in.SpecKeys)...)
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (activities.DatasetResult, error) { return out, nil }); err != nil {
		return out, err
	}
	if len(in.SpecKeys) == 0 || len(wrong) > 0 {
		p, err := planStep(ctx, activities.PlanInput{Names: in.Experiments, Input: study.SweepInput{Profile: in.Profile, Overrides: in.Overrides}, Faults: wrong})
		if err != nil {
			return out, err
		}
		for _, it := range p.Items {
			if it.SameAs == "" {
				in.SpecKeys = append(in.SpecKeys, it.SpecKey)
			}
		}
	}
	err := workflow.ExecuteActivity(light(ctx, "datasets"), acts.Dataset, activities.DatasetInput{SpecKeys: in.SpecKeys}).Get(ctx, &out)
	return out, err
}

// Unknown ends a workflow of a type that nobody registered, which Temporal would keep waiting for ever.
func Unknown(ctx workflow.Context, _ converter.EncodedValues) error {
	name := workflow.GetInfo(ctx).WorkflowType.Name
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("unknown workflow type %q; the nearest known one is %s (known: %s)",
		name, experiment.Nearest(name, Types), strings.Join(Types, ", ")), activities.ErrConfig, nil)
}
