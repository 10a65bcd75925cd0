package workflows_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// A forced experiment whose first attempts die before they have forgotten the old run
// takes nothing of it: every attempt is asked to forget, until one has; also across
// histories.
func TestForcedUntilForgotten(t *testing.T) {
	for _, again := range []bool{false, true} {
		w := newWorld()
		items := planned(t, w, "e1_1_baseline")
		run := items[0].Run
		w.finished[run] = study.RunStatus{Finished: true, Steps: 7000, CommittedStep: 7000, StateSHA256: "old"}
		var forgets []bool
		w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
			forgets = append(forgets, in.Forget)
			switch n {
			case 1: // dead before its first heartbeat
				return activities.TrainResult{}, preempted(study.Progress{})
			case 2:
				return activities.TrainResult{}, preempted(study.Progress{StartedAt: time.Unix(2, 0)})
			case 3:
				w.mu.Lock()
				defer w.mu.Unlock()
				w.finished[run] = study.RunStatus{CommittedStep: 5}
				return activities.TrainResult{}, preempted(study.Progress{Step: 6, StartedAt: time.Unix(3, 0), Forgotten: true})
			}
			return done(in), nil
		}
		var input any = map[string]any{"experiment": "e1_1_baseline", "force": true}
		for input != nil {
			env := w.env(t)
			env.SetContinueAsNewSuggested(again)
			env.RegisterDelayedCallback(func() {
				v, err := env.QueryWorkflow(workflows.QueryProgress)
				var r study.ExperimentResult
				if err != nil || v.Get(&r) != nil || r.CommittedStep > 5 {
					t.Errorf("%d steps of the old run count (%v)", r.CommittedStep, err)
				}
			}, time.Second)
			env.ExecuteWorkflow(workflows.ExperimentType, input)
			if next := nextRun(t, env); next != nil {
				input = next
				continue
			}
			input = nil
			var r study.ExperimentResult
			if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			want := r
			want.Status, want.Attempts, want.StateSHA256 = study.StatusDone, 4, run
			want.Reused, want.ToForget = false, false
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		}
		if !slices.Equal(forgets, []bool{true, true, true, false}) {
			t.Errorf("attempts were asked to forget: %v, want the first three", forgets)
		}
	}
}

// An experiment of a forced sweep that is stopped before it begins, and started again, forgets the old run too.
func TestForcedAndRevived(t *testing.T) {
	w := newWorld()
	forgets := map[string][]bool{}
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		w.mu.Lock()
		forgets[in.Item.ID] = append(forgets[in.Item.ID], in.Forget)
		w.mu.Unlock()
		switch in.Item.ID {
		case "e2_2_t2_n2":
			return slowly(n, in)
		case "e2_2_t2_n6": // stopped by the user below, and started again
			if n == 1 {
				return activities.TrainResult{}, preempted(study.Progress{Step: 3, CommittedStep: 3, StartedAt: time.Unix(1, 0), Forgotten: true})
			}
		}
		return done(in), nil
	}
	env := w.env(t)
	env.OnSignalExternalWorkflow(mock.Anything, "default-test-workflow-id/ablations/e2_2_t4_n6", mock.Anything, mock.Anything, mock.Anything).
		Return(errors.New("not found"))
	update(t, env, 30*time.Second, study.Command{Action: study.ActionStop, Experiments: []string{"e2_2_t4_n6"}}, "e2_2_t4_n6")
	update(t, env, 31*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t4_n6"}}, "e2_2_t4_n6")
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"parallelism": 1, "force": true})
	if r := sweepResult(t, env); r.Done != 5 {
		t.Errorf("%d done", r.Done)
	}
	if f := forgets["e2_2_t4_n6"]; len(f) != 1 || !f[0] {
		t.Errorf("the one that was started again was asked to forget: %v", f)
	}
	if f := forgets["e2_2_t2_n6"]; len(f) != 2 || !f[0] || f[1] {
		t.Errorf("one that has forgotten was asked to forget: %v", f)
	}
}

// What goes on from another experiment's end in a forced sweep does not forget the checkpoint that it goes on from.
func TestForcedAndExtended(t *testing.T) {
	const id = "e2_2_t2_n2_60000_epochs"
	w := newWorld()
	trained := false
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		switch in.Item.ID {
		case "e2_2_t2_n2":
			return slowly(n, in)
		case id:
			trained = true
			if in.Forget || len(w.forks) != 1 {
				t.Errorf("the attempt forgets: %v, after %d forks; want one fork and nothing forgotten", in.Forget, len(w.forks))
			}
		}
		return done(in), nil
	}
	env := w.env(t)
	update(t, env, 30*time.Second, study.Command{Action: study.ActionExtend, Epochs: 60000, Experiments: []string{"e2_2_t2_n2"}}, id)
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"force": true})
	if r := sweepResult(t, env); !trained || r.Done != 6 {
		t.Errorf("trained %v, %d done", trained, r.Done)
	}
}
