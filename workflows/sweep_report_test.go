package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// A sweep that was cancelled reports what it has, after its experiments have ended: no earlier report stays in its place.
func TestCancelledSweepReports(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	items := planned(t, w, workflows.TNSweepType)
	takeTime(env, items, func(it study.Item) time.Duration {
		if it.ID == items[0].ID {
			return time.Minute
		}
		return 10 * time.Hour
	}, func(ctx context.Context, in activities.TrainInput) (activities.TrainResult, error) {
		if ctx.Err() != nil {
			return activities.TrainResult{}, temporal.NewCanceledError()
		}
		return done(in), nil
	})
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(workflows.TNSweepType)
	if err := env.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Fatalf("the sweep ended with %v, want cancelled", err)
	}
	if len(w.reports) == 0 {
		t.Fatal("no report")
	}
	last := w.reports[len(w.reports)-1]
	if last.Ended != "was cancelled" || !last.Final || len(last.Items) != len(items) {
		t.Errorf("the last report is of %d experiments and says %q, final %v", len(last.Items), last.Ended, last.Final)
	}
	if len(last.Stopped) != len(items)-1 {
		t.Errorf("%d experiments are reported as stopped, want %d: %v", len(last.Stopped), len(items)-1, last.Stopped)
	}
}

// So does a sweep that fails before it trains, since an earlier one of its name may have reported failures; one that
// could not even be planned has nothing to report.
func TestFailedSweepReports(t *testing.T) {
	w := newWorld()
	w.checks = preflight.Table{Rows: []preflight.Row{{Check: "disk", Detail: "full"}}}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.TNSweepType)
	if env.GetWorkflowError() == nil || len(w.reports) != 1 || !strings.HasPrefix(w.reports[0].Ended, "failed in its stage preflight: ") {
		t.Errorf("%v, %d reports %+v", env.GetWorkflowError(), len(w.reports), w.reports)
	}
	w = newWorld()
	env = w.env(t)
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"profile": "none"})
	if env.GetWorkflowError() == nil || len(w.reports) != 0 {
		t.Errorf("%v, %d reports", env.GetWorkflowError(), len(w.reports))
	}
}
