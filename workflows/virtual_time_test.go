package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// planned is what a sweep without input would run.
func planned(t *testing.T, w *world, name string) []study.Item {
	t.Helper()
	p, err := w.real.Plan(t.Context(), activities.PlanInput{Names: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Items
}

// takeTime makes attempts last on the workflow's clock: begin is called when one
// starts and says how long it takes, end when that time has passed.
func takeTime(env *testsuite.TestWorkflowEnvironment, items []study.Item, begin func(study.Item) time.Duration,
	end func(context.Context, activities.TrainInput) (activities.TrainResult, error)) {
	for _, it := range items {
		if it.SameAs != "" {
			continue
		}
		env.OnActivity("Train", mock.Anything, mock.MatchedBy(func(in activities.TrainInput) bool { return in.Item.Run == it.Run })).
			AfterFn(func() time.Duration { return begin(it) }).Return(end)
	}
}

// sendProgress sends the progress of an attempt to its experiment after a while.
func sendProgress(env *testsuite.TestWorkflowEnvironment, after time.Duration, workflow string, p study.Progress) {
	env.RegisterDelayedCallback(func() { _ = env.SignalWorkflowByID(workflow, workflows.SignalProgress, p) }, after)
}
