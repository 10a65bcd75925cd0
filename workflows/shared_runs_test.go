package workflows_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// What an experiment does when an attempt finds that the run is, or has just become, another's.
func TestSharedRuns(t *testing.T) {
	const self, other = "default-test-workflow-id", "S3/ablations/e2"
	theirs := study.RunStatus{Finished: true, Owner: other, StateSHA256: "theirs"}
	finished := study.RunStatus{Finished: true, Steps: 7, CommittedStep: 7, StateSHA256: "theirs"}
	type outcome struct {
		Followed, Trained, Attempts int
		Reused                      bool
		State                       string
	}
	for name, c := range map[string]struct {
		force bool
		kind  string          // of the first attempt's error
		left  study.RunStatus // what the store has when nobody trains the run any more
		want  outcome
	}{
		"the other finishes it": {false, activities.ErrShared, finished, outcome{1, 0, 0, true, "theirs"}},
		"the other dies": {false, activities.ErrShared, study.RunStatus{CommittedStep: 5, Owner: other},
			outcome{1, 1, 1, false, "ours"}},
		"the other finishes it, forced":   {true, activities.ErrShared, finished, outcome{1, 1, 1, false, "ours"}},
		"taken in the same moment":        {false, activities.ErrFenced, study.RunStatus{Owner: other}, outcome{1, 1, 2, false, "ours"}},
		"taken by a late attempt of ours": {false, activities.ErrFenced, study.RunStatus{Owner: self}, outcome{0, 1, 2, false, "ours"}},
		"taken and finished by the other": {false, activities.ErrFenced, theirs, outcome{1, 0, 1, true, "theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			var got outcome
			w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
				if n > 1 {
					got.Trained++
					r := done(in)
					r.StateSHA256 = "ours"
					r.Progress.StartedAt = time.Unix(9, 0)
					return r, nil
				}
				w.mu.Lock()
				w.finished[in.Item.Run] = c.left
				w.mu.Unlock()
				return activities.TrainResult{}, app("run x is being trained by e2 of sweep S3", c.kind, study.Progress{})
			}
			env := w.env(t)
			env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"force": c.force})
			var r study.ExperimentResult
			if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			got.Followed = w.followed
			got.Attempts = r.Attempts
			got.Reused = r.Reused
			got.State = r.StateSHA256
			if diff := cmp.Diff(c.want, got); diff != "" || r.Status != study.StatusDone {
				t.Errorf("%s (-want +got):\n%s", r.Status, diff)
			}
		})
	}
}

// Commands work at once while the run of another experiment is waited for, and the row says what it waits for.
func TestCommandsWhileAnotherTrains(t *testing.T) {
	for action, status := range map[string]string{study.ActionSkip: study.StatusSkipped, study.ActionStop: study.StatusStopped} {
		t.Run(action, func(t *testing.T) {
			w := newWorld()
			w.train = func(int, activities.TrainInput) (activities.TrainResult, error) {
				return activities.TrainResult{}, app("run x is being trained by e2 of sweep S3", activities.ErrShared, study.Progress{})
			}
			env := w.env(t)
			env.OnActivity("Follow", mock.Anything).After(10*time.Hour).Return(study.RunStatus{}, nil)
			env.RegisterDelayedCallback(func() {
				v, err := env.QueryWorkflow(workflows.QueryProgress)
				var r study.ExperimentResult
				if err != nil || v.Get(&r) != nil {
					t.Fatal(err)
				}
				held := r.HeldUp()
				held.Since = time.Time{}
				want := protocol.Holdup{Kind: protocol.HoldupOtherRun, Detail: "run x is being trained by e2 of sweep S3"}
				if diff := cmp.Diff(want, held); diff != "" {
					t.Errorf("held up by (-want +got):\n%s", diff)
				}
			}, time.Hour)
			begin := env.Now()
			env.RegisterDelayedCallback(func() {
				_ = env.SignalWorkflowByID("default-test-workflow-id", workflows.SignalControl, study.Command{Action: action})
			}, 2*time.Hour)
			env.ExecuteWorkflow(workflows.ExperimentType)
			var r study.ExperimentResult
			if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			if took := env.Now().Sub(begin); r.Status != status || took > 2*time.Hour+time.Minute {
				t.Errorf("%s after %s, want %s at once", r.Status, took, status)
			}
		})
	}
}
