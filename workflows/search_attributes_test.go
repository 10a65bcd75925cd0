package workflows_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// watchAttributes records the values that every workflow gives a search attribute, in order: workflow type -> attribute -> values.
func watchAttributes(env *testsuite.TestWorkflowEnvironment) map[string]map[string][]any {
	all := map[string]map[string][]any{}
	c := calls{attributes: func(ctx workflow.Context, updates []temporal.SearchAttributeUpdate) {
		name := workflow.GetInfo(ctx).WorkflowType.Name
		if all[name] == nil {
			all[name] = map[string][]any{}
		}
		got, values := all[name], temporal.NewSearchAttributes(updates...)
		for _, key := range []string{queues.AttrSweep, queues.AttrPhase, queues.AttrStatus} {
			if v, ok := values.GetKeyword(temporal.NewSearchAttributeKeyKeyword(key)); ok {
				got[key] = append(got[key], v)
			}
		}
		if v, ok := values.GetFloat64(temporal.NewSearchAttributeKeyFloat64(queues.AttrGoodput)); ok {
			got[queues.AttrGoodput] = append(got[queues.AttrGoodput], v)
		}
	}}
	c.watch(env)
	return all
}

// Phases can be found by their status as sweeps and experiments can, and no goodput has more than four digits.
func TestSearchAttributes(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	all := watchAttributes(env)
	takeTime(env, planned(t, w, workflows.TNSweepType), func(study.Item) time.Duration { return 3 * time.Hour / 2 },
		func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
			r := done(in)
			r.Progress.StartedAt, r.Progress.Goodput = time.Unix(1, 0), map[string]float64{"starting": 1, "training": 2000}
			return r, nil
		})
	env.ExecuteWorkflow(workflows.TNSweepType)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	phase := all[workflows.PhaseType]
	if got := phase[queues.AttrStatus]; !slices.Equal(got, []any{study.StatusRunning, study.StatusDone}) {
		t.Errorf("the phase's statuses are %v", got)
	}
	if got := phase[queues.AttrPhase]; len(got) == 0 || got[0] != "ablations" {
		t.Errorf("the phase is %v", got)
	}
	if got := phase[queues.AttrSweep]; len(got) == 0 || got[0] != "default-test-workflow-id" {
		t.Errorf("the phase's sweep is %v", got)
	}
	long := 0
	for name := range maps.Keys(all) {
		for _, v := range all[name][queues.AttrGoodput] {
			g, _ := v.(float64)
			if g != math.Round(g*1e4)/1e4 {
				t.Errorf("%s shows goodput %v", name, g)
			}
			if g > 0 {
				long++
			}
		}
	}
	if long == 0 {
		t.Error("no goodput was shown")
	}
}
