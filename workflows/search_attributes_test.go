package workflows_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
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
		for _, key := range []string{queues.AttrGoodput, queues.AttrBest} {
			if v, ok := values.GetFloat64(temporal.NewSearchAttributeKeyFloat64(key)); ok {
				got[key] = append(got[key], v)
			}
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

// The best exact accuracy of a sweep and of an experiment is that of finished runs over all puzzles, whether they
// were trained by this sweep or found: an evaluation of a part of the puzzles, although higher, never shows.
func TestSearchAttributeOfTheBestAccuracy(t *testing.T) {
	w := newWorld()
	items := planned(t, w, workflows.TNSweepType)
	w.finished[items[0].Run] = study.RunStatus{Finished: true, Steps: 5, Outcome: &protocol.Outcome{BestExactAccuracy: 0.1, BestPuzzles: 128}}
	w.train = func(_ int, in activities.TrainInput) (activities.TrainResult, error) {
		r := done(in)
		r.Progress.BestExactAccuracy, r.Progress.BestPuzzles, r.Progress.EvalStep = 0.9, 64, 1
		r.Outcome = &protocol.Outcome{BestExactAccuracy: 0.2, Puzzles: 128, BestPuzzles: 128}
		return r, nil
	}
	env := w.env(t)
	all := watchAttributes(env)
	env.ExecuteWorkflow(workflows.TNSweepType)
	result := sweepResult(t, env)
	for name, want := range map[string]map[any]bool{
		workflows.TNSweepType:    {0.1: true, 0.2: true},
		workflows.ExperimentType: {0.2: true},
	} {
		got := map[any]bool{}
		for _, v := range all[name][queues.AttrBest] {
			got[v] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s shows other accuracies (-want +got):\n%s", name, diff)
		}
	}
	for i, r := range result.Experiments {
		want := "20.00%"
		if i == 0 {
			want = "10.00%"
		}
		if got := r.BestText(); got != want {
			t.Errorf("%s shows %s, want %s", r.Item.ID, got, want)
		}
	}
}
