package workflows_test

import (
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
	"trmsweep/workflows"
)

// What the user wants is done at once while an experiment waits: for another sweep
// that trains its run, and before the retry of an attempt that failed.
func TestWishesEndWaits(t *testing.T) {
	const early, late = 30 * time.Second, time.Hour
	for wait, failure := range map[string]string{"another sweep trains the run": activities.ErrFenced, "before a retry": activities.ErrFailed} {
		for action, want := range map[string]struct {
			status   string
			attempts int
		}{
			workflows.ActionStop:  {workflows.StatusStopped, 1},
			workflows.ActionSkip:  {workflows.StatusSkipped, 1},
			workflows.ActionRetry: {workflows.StatusDone, 2},
			workflows.ActionPause: {workflows.StatusDone, 2},
		} {
			t.Run(wait+"/"+action, func(t *testing.T) {
				w := newWorld()
				w.status = func(string) activities.RunStatus { return activities.RunStatus{CommittedStep: 5, Owner: "another"} }
				w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
					if n > 1 {
						return done(in), nil
					}
					return activities.TrainResult{}, temporal.NewApplicationErrorWithCause("no", failure, nil, activities.Progress{Step: 5, CommittedStep: 5})
				}
				env := w.env(t)
				begin := env.Now()
				env.RegisterDelayedCallback(func() { send(t, env, workflows.Control{Action: action}) }, early)
				if action == workflows.ActionPause {
					env.RegisterDelayedCallback(func() {
						v, err := env.QueryWorkflow(workflows.QueryProgress)
						var r workflows.ExperimentResult
						if err != nil || v.Get(&r) != nil || r.Status != workflows.StatusPaused {
							t.Errorf("a second after the pause it is %s (%v)", r.Status, err)
						}
					}, early+time.Second)
					env.RegisterDelayedCallback(func() { send(t, env, workflows.Control{Action: workflows.ActionResume}) }, late)
				}
				env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"timeouts": workflows.Timeouts{Backoff: time.Minute}})
				var r workflows.ExperimentResult
				if err := env.GetWorkflowResult(&r); err != nil {
					t.Fatal(err)
				}
				ends := early
				if action == workflows.ActionPause {
					ends = late
				}
				if took := env.Now().Sub(begin); r.Status != want.status || r.Attempts != want.attempts || took != ends {
					t.Errorf("%s in %d attempts after %v, want %s in %d after %v", r.Status, r.Attempts, took, want.status, want.attempts, ends)
				}
			})
		}
	}
}
