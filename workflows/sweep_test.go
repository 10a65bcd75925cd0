package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

func TestAllAblationsWithoutInput(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	env.ExecuteWorkflow(workflows.AllAblationsType)
	r := sweepResult(t, env)
	if len(r.Experiments) != 18 || r.Done != 18 || len(w.attempts) != 17 {
		t.Fatalf("rows %d, done %d, runs trained %d; want 18, 18, 17 (two specs are one)", len(r.Experiments), r.Done, len(w.attempts))
	}
	shared := 0
	for _, e := range r.Experiments {
		if e.Item.SameAs != "" {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("%d experiments share a run, want 1", shared)
	}
	if len(w.reports) != 5 || !w.reports[4].Final {
		t.Errorf("%d reports, want one per phase and a final one", len(w.reports))
	}
}

func TestOtherSweeps(t *testing.T) {
	for name, want := range map[string]int{workflows.TNSweepType: 5, workflows.BatchSweepType: 4} {
		t.Run(name, func(t *testing.T) {
			env := newWorld().env(t)
			env.ExecuteWorkflow(name, map[string]any{"profile": "smoke", "parallelism": 2})
			if r := sweepResult(t, env); r.Done != want || r.Profile != "smoke" {
				t.Errorf("done %d with profile %q, want %d with smoke", r.Done, r.Profile, want)
			}
		})
	}
}

// app is the error of an attempt that came to p.
func app(message, kind string, p study.Progress) error {
	return temporal.NewApplicationErrorWithCause(message, kind, nil, p)
}

func TestExperimentEnds(t *testing.T) {
	p := study.Progress{Step: 10, CommittedStep: 5, Total: 100, Host: "vm", Worker: "vm:/state"}
	for name, c := range map[string]struct {
		err      error
		attempts int
		want     string
	}{
		"invalid":      {temporal.NewNonRetryableApplicationError("bad spec", activities.ErrConfig, nil, p), 1, "bad spec"},
		"diverged":     {temporal.NewNonRetryableApplicationError("loss is NaN", activities.ErrFinal, nil, p), 1, "loss is NaN"},
		"small budget": {app("it broke", activities.ErrFailed, p), study.MaxFailures, "last checkpoint is step 5"},
		"disk full":    {app("disk full", activities.ErrHost, p), 8, "gave up after 7 attempts without a new checkpoint: 8 failures"},
		"busy device":  {app("process 7 holds /dev/accel0", activities.ErrBusy, p), 8, "process 7 holds"},
		"no memory":    {app("out of memory", activities.ErrUnfit, p), 1, "no host that lives can run it"},
		"no device": {app(`backend did not open: "xla:tpu": no such device`, activities.ErrFailed, p), study.MaxFailures,
			"when the cause is gone, start the same experiment again: it goes on from there; the last error (on vm:/state): " +
				"backend did not open: \"xla:tpu\": no such device"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.train = func(int, activities.TrainInput) (activities.TrainResult, error) {
				return activities.TrainResult{}, c.err
			}
			env := w.env(t)
			env.ExecuteWorkflow(workflows.ExperimentType)
			err := env.GetWorkflowError()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			for _, n := range w.attempts {
				if n != c.attempts {
					t.Errorf("%d attempts, want %d", n, c.attempts)
				}
			}
		})
	}
}

func TestFailedExperimentIsARow(t *testing.T) {
	w := newWorld()
	w.train = func(_ int, in activities.TrainInput) (activities.TrainResult, error) {
		if in.Item.Experiment == "e2_1_ema_off" {
			return activities.TrainResult{}, temporal.NewNonRetryableApplicationError("loss is NaN", activities.ErrFinal, nil)
		}
		return done(in), nil
	}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.AllAblationsType)
	r := sweepResult(t, env)
	if r.Failed != 1 || r.Done != 17 {
		t.Fatalf("failed %d, done %d, want 1 and 17", r.Failed, r.Done)
	}
	last := w.reports[len(w.reports)-1]
	if !strings.Contains(last.Failures["e2_1_ema_off"], "NaN") {
		t.Errorf("the report's failures are %v", last.Failures)
	}
}

func TestFinishedIsNotTrainedAgain(t *testing.T) {
	for _, force := range []bool{false, true} {
		w := newWorld()
		p, err := w.real.Plan(context.Background(), activities.PlanInput{Names: []string{"e1_1_baseline"}})
		if err != nil {
			t.Fatal(err)
		}
		w.finished[p.Items[0].Run] = study.RunStatus{Finished: true, Steps: 7, StateSHA256: "old"}
		env := w.env(t)
		env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"experiment": "e1_1_baseline", "force": force})
		if err := env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		if trained := len(w.attempts) == 1; trained != force {
			t.Errorf("force %v: trained %v", force, trained)
		}
	}
}

func TestPauseResumeSkip(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if n == 1 {
			return activities.TrainResult{}, preempted(study.Progress{Step: 5, CommittedStep: 5})
		}
		return done(in), nil
	}
	for _, c := range []struct{ action, status string }{{study.ActionResume, study.StatusDone}, {study.ActionSkip, study.StatusSkipped}} {
		t.Run(c.action, func(t *testing.T) {
			clear(w.attempts)
			env := w.env(t)
			update := func(action string) func() {
				return func() {
					env.UpdateWorkflow(workflows.UpdateControl, action, &testsuite.TestUpdateCallback{
						OnReject:   func(err error) { t.Errorf("%s refused: %v", action, err) },
						OnAccept:   func() {},
						OnComplete: func(any, error) {},
					}, study.Command{Action: action})
				}
			}
			env.RegisterDelayedCallback(update(study.ActionPause), 0)
			env.RegisterDelayedCallback(func() {
				v, err := env.QueryWorkflow(workflows.QueryProgress)
				var r study.ExperimentResult
				if err != nil || v.Get(&r) != nil || r.Status != study.StatusPaused {
					t.Errorf("status %q, error %v, want paused", r.Status, err)
				}
			}, time.Hour)
			env.RegisterDelayedCallback(update(c.action), 2*time.Hour)
			env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"experiment": "e1_1_baseline"})
			var r study.ExperimentResult
			if err := env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if err := env.GetWorkflowResult(&r); err != nil || r.Status != c.status {
				t.Errorf("ended %q (%v), want %q", r.Status, err, c.status)
			}
		})
	}
}

func TestPreflightFailsWithTheCheck(t *testing.T) {
	w := newWorld()
	w.checks = preflight.Table{Rows: []preflight.Row{{Check: "bucket", Detail: "no permission"}}}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.PreflightType)
	if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "bucket: no permission") {
		t.Errorf("error %v", err)
	}
}

func TestDatasetGeneration(t *testing.T) {
	env := newWorld().env(t)
	env.ExecuteWorkflow(workflows.DatasetGenerationType)
	var r activities.DatasetResult
	if err := env.GetWorkflowResult(&r); err != nil || len(r.Hashes) != 1 {
		t.Errorf("%v %v", r, err)
	}
}

func TestUnknownTypeFailsFast(t *testing.T) {
	env := newWorld().env(t)
	env.RegisterDynamicWorkflow(workflows.Unknown, workflow.DynamicRegisterOptions{})
	env.ExecuteWorkflow("AllAblation")
	if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "nearest known one is AllAblations") {
		t.Errorf("error %v", err)
	}
}

func TestFailedDatasetIsANote(t *testing.T) {
	w := newWorld()
	w.noData = temporal.NewNonRetryableApplicationError("dataset of x: row 7: the answer does not solve the question", activities.ErrConfig,
		nil)
	env := w.env(t)
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	if r.Done != 5 || len(r.Notes) != 1 || r.Notes[0] != "dataset: dataset of x: row 7: the answer does not solve the question" {
		t.Errorf("%d done with notes %q; want 5 and the fault without layers around it", r.Done, r.Notes)
	}
}

func TestSecondSweepTrainsOnlyWhatIsMissing(t *testing.T) {
	w := newWorld()
	p, err := w.real.Plan(context.Background(), activities.PlanInput{Names: []string{workflows.TNSweepType}})
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range p.Items[1:] {
		w.finished[it.Run] = study.RunStatus{Finished: true, Steps: it.TotalSteps, StateSHA256: "old",
			Outcome: &protocol.Outcome{BestExactAccuracy: float64(i)}}
	}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	if len(w.attempts) != 1 || w.attempts[p.Items[0].Run] != 1 {
		t.Errorf("trained %v, want only %s", w.attempts, p.Items[0].Run)
	}
	for i, e := range r.Experiments {
		want := e
		want.Status, want.Reused, want.Progress.Step = study.StatusDone, i > 0, e.Item.TotalSteps
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Item.ID, diff)
		}
	}
}

func TestUnplannableSweepSaysWhy(t *testing.T) {
	env := newWorld().env(t)
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"profile": "smok"})
	v, err := env.QueryWorkflow(workflows.QueryProgress)
	var r study.SweepResult
	if err != nil || v.Get(&r) != nil || r.Status != study.StatusFailed || len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "planning: ") {
		t.Errorf("%v %+v", err, r)
	}
}
