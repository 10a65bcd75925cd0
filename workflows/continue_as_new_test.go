package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// nextRun returns the input of a workflow that has continued as new, nil where it has ended.
func nextRun(t *testing.T, env *testsuite.TestWorkflowEnvironment) json.RawMessage {
	t.Helper()
	var again *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &again) {
		return nil
	}
	return slices.Clone(again.Input.GetPayloads()[0].GetData())
}

// An experiment that is preempted again and again continues as new between its
// attempts, with its accounting, its budget of failures and a pause that came meanwhile.
func TestExperimentContinuesAsNew(t *testing.T) {
	w := newWorld()
	const preemptions = 5
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if in.Attempt != n {
			t.Errorf("attempt %d calls itself %d", n, in.Attempt)
		}
		if n <= preemptions {
			step := int64(n) * 100
			w.mu.Lock()
			w.finished[in.Item.Run] = study.RunStatus{CommittedStep: step}
			w.mu.Unlock()
			return activities.TrainResult{},
				preempted(study.Progress{Step: step + 10, CommittedStep: step, RestoredFrom: step - 100, StartedAt: time.Unix(1, 0)})
		}
		return done(in), nil
	}
	var input any
	histories := 0
	for {
		histories++
		env := w.env(t)
		env.SetContinueAsNewSuggested(true)
		if input == nil {
			env.ExecuteWorkflow(workflows.ExperimentType)
		} else {
			env.ExecuteWorkflow(workflows.ExperimentType, input)
		}
		if next := nextRun(t, env); next != nil {
			input = next
			continue
		}
		var r study.ExperimentResult
		if err := env.GetWorkflowResult(&r); err != nil {
			t.Fatal(err)
		}
		want := r
		want.Status, want.CommittedStep = study.StatusDone, r.Item.TotalSteps
		want.Preemptions, want.Attempts, want.LostSteps = preemptions, preemptions+1, 10*preemptions
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		break
	}
	if histories != preemptions+1 {
		t.Errorf("%d histories, want %d", histories, preemptions+1)
	}
}

// A pause while an attempt that failed waits for its next try is still one after a continue-as-new.
func TestPauseSurvivesContinueAsNew(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if n == 1 {
			return activities.TrainResult{}, preempted(study.Progress{}) // nothing committed: a wait before the next try
		}
		return done(in), nil
	}
	env := w.env(t)
	env.SetContinueAsNewSuggested(true)
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateControl, "u",
			&testsuite.TestUpdateCallback{OnReject: func(err error) { t.Error(err) }, OnAccept: func() {}, OnComplete: func(any, error) {}},
			study.Command{Action: study.ActionPause})
	}, time.Second)
	env.ExecuteWorkflow(workflows.ExperimentType)
	input := nextRun(t, env)
	if input == nil {
		t.Fatal("it did not continue as new")
	}
	env = w.env(t)
	env.RegisterDelayedCallback(func() {
		v, err := env.QueryWorkflow(workflows.QueryProgress)
		var r study.ExperimentResult
		if err != nil || v.Get(&r) != nil || r.Status != study.StatusPaused {
			t.Errorf("after an hour it is %s (%v), want paused", r.Status, err)
		}
		env.UpdateWorkflow(workflows.UpdateControl, "u",
			&testsuite.TestUpdateCallback{OnReject: func(err error) { t.Error(err) }, OnAccept: func() {}, OnComplete: func(any, error) {}},
			study.Command{Action: study.ActionResume})
	}, time.Hour)
	env.ExecuteWorkflow(workflows.ExperimentType, input)
	var r study.ExperimentResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	want := r
	want.Status, want.Attempts = study.StatusDone, 2
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// An update that is being answered when a round ends: what it starts is finished before
// the sweep continues as new, and a sweep that it stops does not go on.
func TestUpdateWhileContinuingAsNew(t *testing.T) {
	for name, stopped := range map[string]bool{"seeds are added": false, "and the sweep is stopped": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			workflows.SetRoundSize(t, 50)
			w.plan = manyItems(60)
			more := w.plan.Items[0]
			more.ID, more.Run, more.Seed = more.ID+"-s7", "0123456789abcdef-s7", 7
			env := w.env(t)
			env.SetContinueAsNewSuggested(true)
			env.OnActivity("Plan", mock.Anything, mock.MatchedBy(func(in activities.PlanInput) bool { return in.SeedIDs })).
				Return(activities.Plan{Items: []study.Item{more}}, nil).After(time.Hour)
			env.OnActivity("Plan", mock.Anything, mock.Anything).Return(*w.plan, nil)
			env.OnActivity("Train", mock.Anything, mock.Anything).After(40 * time.Minute).
				Return(func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
					return done(in), nil
				})
			env.RegisterDelayedCallback(func() {
				send(t, env, study.Command{Action: study.ActionAddSeeds, Seeds: []int64{7}, Experiments: []string{w.plan.Items[0].ID}})
			}, 30*time.Minute)
			if stopped {
				env.RegisterDelayedCallback(func() { send(t, env, study.Command{Action: study.ActionStop}) }, 50*time.Minute)
			}
			env.ExecuteWorkflow(workflows.AllAblationsType)
			next := nextRun(t, env)
			if stopped {
				if r := sweepResult(t, env); r.Status != study.StatusStopped {
					t.Errorf("the sweep is %s", r.Status)
				}
				return
			}
			var in struct{ Carried study.SweepResult }
			if err := json.Unmarshal(next, &in); err != nil {
				t.Fatal(err)
			}
			if got := rowOf(t, in.Carried, more.ID); got.Status != study.StatusDone || got.Attempts != 1 {
				t.Errorf("the added seed is %s after %d attempts", got.Status, got.Attempts)
			}
		})
	}
}
