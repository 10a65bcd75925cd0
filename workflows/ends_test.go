package workflows_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// endedRow is what tests of ends compare of a row.
type endedRow struct {
	Status, Why string
	Committed   int64
}

func ended(r study.ExperimentResult) endedRow {
	return endedRow{Status: r.Status, Why: r.Error + r.Reason, Committed: r.CommittedStep}
}

// checkRow queries the sweep after a while.
func checkRow(t *testing.T, env *testsuite.TestWorkflowEnvironment, after time.Duration, id string, want endedRow) {
	t.Helper()
	env.RegisterDelayedCallback(func() {
		v, err := env.QueryWorkflow(workflows.QueryProgress)
		var r study.SweepResult
		if err != nil || v.Get(&r) != nil {
			t.Fatalf("query: %v", err)
		}
		if diff := cmp.Diff(want, ended(rowOf(t, r, id))); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", after, diff)
		}
	}, after)
}

// All ends of an experiment while its phase goes on: the sweep knows at once, a retry starts it again, and a sweep with
// what should have been trained and is not does not call itself done.
func TestEveryEndOfAnExperimentReachesTheSweep(t *testing.T) {
	const id, end, saved = "e2_2_t3_n4", 30 * time.Second, 7
	own := study.ExperimentResult{Status: study.StatusStopped, CommittedStep: 9}
	for name, c := range map[string]struct {
		result study.ExperimentResult
		err    error
		row    endedRow
		sweep  string // its status without a retry
		retry  bool   // starts it again
	}{
		"completed": {study.ExperimentResult{Status: study.StatusDone}, nil,
			endedRow{Status: "done"}, study.StatusDone, false},
		"skipped": {study.ExperimentResult{Status: study.StatusSkipped}, nil,
			endedRow{Status: "skipped"}, study.StatusDone, true},
		"failed": {own, temporal.NewApplicationError("loss is NaN", "Final", own),
			endedRow{"failed", "loss is NaN", 9}, study.StatusIncomplete, true},
		"cancelled": {own, temporal.NewCanceledError(own),
			endedRow{"stopped", "the experiment was cancelled", 9}, study.StatusIncomplete, true},
		"terminated": {own, &temporal.TerminatedError{},
			endedRow{"stopped", "the experiment was terminated", saved}, study.StatusIncomplete, true},
		"timed out": {own, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil),
			endedRow{"failed", "the experiment timed out", saved}, study.StatusIncomplete, true},
	} {
		for _, retried := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", then retry"}[retried], func(t *testing.T) {
				w := newWorld()
				w.status = func(string) study.RunStatus { return study.RunStatus{CommittedStep: saved} }
				w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
					if in.Item.ID == "e2_2_t2_n2" {
						return slowly(n, in)
					}
					return done(in), nil
				}
				env := w.env(t)
				begun := 0
				env.OnWorkflow(workflows.ExperimentType, mock.Anything, mock.Anything).Return(
					func(ctx workflow.Context, raw json.RawMessage) (study.ExperimentResult, error) {
						var in workflows.ExperimentInput
						if err := json.Unmarshal(raw, &in); err != nil {
							return c.result, err
						}
						if in.Item.ID == id {
							begun++
						}
						if in.Item.ID != id || begun > 1 {
							return workflows.Experiment(ctx, raw)
						}
						c.result.Item = *in.Item
						if err := workflow.Sleep(ctx, end); err != nil {
							return c.result, err
						}
						return c.result, c.err
					})
				checkRow(t, env, end+time.Second, id, c.row)
				wantRow, wantSweep, reached := c.row, c.sweep, []string{}
				if retried && c.retry {
					wantRow, wantSweep, reached = endedRow{Status: "done"}, study.StatusDone, []string{id}
				}
				if retried {
					update(t, env, end+2*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{id}}, reached...)
				}
				env.ExecuteWorkflow(workflows.TNSweepType)
				r := sweepResult(t, env)
				got := ended(rowOf(t, r, id))
				if wantRow.Status == "done" {
					wantRow.Committed = got.Committed
				}
				if diff := cmp.Diff(wantRow, got); diff != "" {
					t.Errorf("row in the end (-want +got):\n%s", diff)
				}
				if r.Status != wantSweep {
					t.Errorf("the sweep is %s, want %s", r.Status, wantSweep)
				}
			})
		}
	}
}

// All ends of a phase but its own: what became of its experiments is asked of the server, and a retry starts them again
// while another phase still runs.
func TestEveryEndOfAPhase(t *testing.T) {
	const end = 30 * time.Second
	stopped := study.ExperimentResult{Status: study.StatusStopped, CommittedStep: 9}
	ends := map[string]study.End{
		"e2_2_t2_n2": {How: study.ServerCancelled, Result: &stopped},
		"e2_2_t2_n6": {How: study.ServerTerminated},
		"e2_2_t3_n4": {How: study.ServerCompleted, Result: &study.ExperimentResult{Status: study.StatusDone, CommittedStep: 99}},
		"e2_2_t4_n6": {How: study.ServerFailed, Message: "loss is NaN"},
		"e2_2_t3_n6": {},
	}
	for name, c := range map[string]struct {
		err error
		why string
	}{
		"terminated": {&temporal.TerminatedError{}, "the phase was terminated"},
		"cancelled":  {temporal.NewCanceledError(), "the phase was cancelled"},
		"failed":     {temporal.NewApplicationError("no memory", ""), "the phase failed: no memory"},
		"timed out":  {temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil), "the phase timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.ends = map[string]study.End{}
			for id, e := range ends {
				w.ends["default-test-workflow-id/ablations/"+id] = e
			}
			w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
				if in.Item.ID == "e1_1_baseline" {
					return slowly(n, in)
				}
				return done(in), nil
			}
			env := w.env(t)
			env.OnWorkflow(workflows.PhaseType, mock.Anything, mock.Anything).Return(
				func(ctx workflow.Context, in workflows.PhaseInput) ([]study.ExperimentResult, error) {
					if in.Phase != "ablations" {
						return workflows.Phase(ctx, in)
					}
					if err := workflow.Sleep(ctx, end); err != nil {
						return nil, err
					}
					return nil, c.err
				})
			names := []string{"e1_1_baseline"}
			want := map[string]endedRow{
				"e2_2_t2_n2": {"stopped", c.why, 9},
				"e2_2_t2_n6": {"stopped", "the experiment was terminated", 0},
				"e2_2_t3_n4": {"done", "", 99},
				"e2_2_t4_n6": {"failed", "loss is NaN", 0},
				"e2_2_t3_n6": {"stopped", c.why, 0},
			}
			for id := range ends {
				names = append(names, id)
				checkRow(t, env, end+time.Second, id, want[id])
			}
			update(t, env, end+2*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t2_n2"}}, "e2_2_t2_n2")
			env.ExecuteWorkflow(workflows.AllAblationsType, map[string]any{"experiments": names})
			r := sweepResult(t, env)
			if got := rowOf(t, r, "e2_2_t2_n2"); got.Status != study.StatusDone {
				t.Errorf("the row that was started again is %s", got.Status)
			}
			if r.Status != study.StatusIncomplete || r.Done != 3 {
				t.Errorf("the sweep is %s with %d done, want incomplete with 3", r.Status, r.Done)
			}
		})
	}
}
