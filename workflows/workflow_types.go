package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
)

// Types are the workflow types that users start.
var Types = []string{AllAblationsType, TNSweepType, BatchSweepType, ExperimentType, DatasetGenerationType, PreflightType}

// Unknown ends a workflow of a type that nobody registered. Temporal would keep it waiting for ever.
func Unknown(ctx workflow.Context, _ converter.EncodedValues) error {
	name := workflow.GetInfo(ctx).WorkflowType.Name
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("unknown workflow type %q%s (known: %s)",
		name, experiment.Suggest("; the nearest known one is %s", name, Types), strings.Join(Types, ", ")), activities.ErrConfig, nil)
}
