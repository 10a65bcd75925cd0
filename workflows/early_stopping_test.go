package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// hour trains every experiment in an hour and reports evaluations at 1/8, 1/4 and
// 1/2, in which the experiments reach these accuracies.
func hour(t *testing.T, w *world, input any, accuracy map[string]float64) study.SweepResult {
	t.Helper()
	env := w.env(t)
	items := planned(t, w, workflows.TNSweepType)
	order := map[string]time.Duration{} // one second after another, so that the rungs have an order
	for i, it := range items {
		order[it.ID] = time.Duration(i) * time.Second
	}
	takeTime(env, items, func(it study.Item) time.Duration {
		for _, share := range []float64{1. / 8, 1. / 4, 1. / 2} {
			step := int64(share*float64(it.TotalSteps)) + 1
			sendProgress(env, time.Duration(share*float64(time.Hour))+order[it.ID], "default-test-workflow-id/"+it.Phase+"/"+it.ID,
				study.Progress{Step: step, CommittedStep: step, EvalStep: step, EvalExact: accuracy[it.ID], BestExactAccuracy: accuracy[it.ID]})
		}
		return time.Hour
	}, func(ctx context.Context, in activities.TrainInput) (activities.TrainResult, error) {
		if ctx.Err() != nil {
			return activities.TrainResult{}, temporal.NewCanceledError()
		}
		return done(in), nil
	})
	env.ExecuteWorkflow(workflows.TNSweepType, input)
	return sweepResult(t, env)
}

// Five experiments, of which the first to reach a rung are the worst: at every rung
// only the better half goes on, as far as it can be known when one gets there.
func TestSuccessiveHalving(t *testing.T) {
	w := newWorld()
	accuracy := map[string]float64{}
	for i, it := range planned(t, w, workflows.TNSweepType) {
		accuracy[it.ID] = []float64{0.5, 0.1, 0.4, 0.2, 0.3}[i]
	}
	r := hour(t, w, map[string]any{"halving": 2}, accuracy)
	stopped := map[string]bool{}
	for _, e := range r.Experiments {
		if e.Status == study.StatusStopped {
			stopped[e.Item.ID] = true
			if !strings.Contains(e.Reason, "stopped early") || !strings.Contains(strings.Join(r.Notes, "\n"), e.Item.ID+" stopped early") {
				t.Errorf("%s was stopped with reason %q and notes %q", e.Item.ID, e.Reason, r.Notes)
			}
		}
	}
	// 0.5 goes on; 0.1 is the worse of two; 0.4 among the best two of three; 0.2 not among two of four; 0.3 is third of five and may.
	// At 1/4: 0.5, then 0.4 is the worse of two; 0.3 is third of three. At 1/2: 0.5 alone.
	want := []float64{0.1, 0.2, 0.4, 0.3}
	for id, a := range accuracy {
		if best := a == 0.5; best == stopped[id] {
			t.Errorf("%s with %g: stopped %v; want %v stopped", id, a, stopped[id], want)
		}
	}
	last := w.reports[len(w.reports)-1]
	for id := range accuracy {
		if why := last.Stopped[id]; strings.Contains(why, "were better") != stopped[id] {
			t.Errorf("the report of %s says %q, want %v", id, why, stopped[id])
		}
	}
	if r.Failed != 0 || r.Done != 1 || r.Status != study.StatusDone {
		t.Errorf("%s, %d done, %d failed", r.Status, r.Done, r.Failed)
	}
	if r := hour(t, newWorld(), nil, accuracy); r.Done != 5 {
		t.Errorf("without halving %d done, want 5", r.Done)
	}
}

func TestStopOnCollapse(t *testing.T) {
	for name, c := range map[string]struct {
		on     bool
		evals  []float64 // at every tenth of the run
		status string
	}{
		"collapsed":           {true, []float64{0.1, 0.4, 0.3, 0.25, 0.1}, study.StatusStopped},
		"off by default":      {false, []float64{0.1, 0.4, 0.3, 0.25, 0.1}, study.StatusDone},
		"a dip":               {true, []float64{0.1, 0.4, 0.1, 0.4, 0.5}, study.StatusDone},
		"above half":          {true, []float64{0.4, 0.3, 0.3, 0.3, 0.3}, study.StatusDone},
		"never learnt at all": {true, []float64{0.005, 0, 0, 0, 0}, study.StatusDone},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			env := w.env(t)
			items := planned(t, w, "e1_1_baseline")
			takeTime(env, items, func(it study.Item) time.Duration {
				for i, a := range c.evals {
					step := it.TotalSteps * int64(i+1) / 10
					sendProgress(env, time.Duration(i+1)*time.Minute, "default-test-workflow-id",
						study.Progress{Step: step, CommittedStep: step, EvalStep: step, EvalExact: a})
				}
				return 10 * time.Minute
			}, func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
				return done(in), nil
			})
			env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"stop_on_collapse": c.on})
			var r study.ExperimentResult
			if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			if r.Status != c.status || (r.Reason != "") != (c.status == study.StatusStopped) {
				t.Errorf("%s, reason %q; want %s", r.Status, r.Reason, c.status)
			}
		})
	}
}
