package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// What the user wants is done at once while an experiment waits: for another sweep
// that trains its run, and before the retry of an attempt that failed.
func TestCommandsEndWaits(t *testing.T) {
	const early, late = 30 * time.Second, time.Hour
	for wait, failure := range map[string]string{
		"another sweep trains the run": activities.ErrFenced,
		"before a retry":               activities.ErrFailed,
	} {
		for action, want := range map[string]struct {
			status   string
			attempts int
		}{
			study.ActionStop:  {study.StatusStopped, 1},
			study.ActionSkip:  {study.StatusSkipped, 1},
			study.ActionRetry: {study.StatusDone, 2},
			study.ActionPause: {study.StatusDone, 2},
		} {
			t.Run(wait+"/"+action, func(t *testing.T) {
				w := newWorld()
				w.status = func(string) study.RunStatus { return study.RunStatus{CommittedStep: 5, Owner: "another"} }
				w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
					if n > 1 {
						return done(in), nil
					}
					return activities.TrainResult{}, temporal.NewApplicationErrorWithCause("no", failure, nil, study.Progress{Step: 5, CommittedStep: 5})
				}
				env := w.env(t)
				env.OnActivity("Follow", mock.Anything).After(10*time.Hour).Return(study.RunStatus{}, nil)
				begin := env.Now()
				env.RegisterDelayedCallback(func() { send(t, env, study.Command{Action: action}) }, early)
				if action == study.ActionPause {
					env.RegisterDelayedCallback(func() {
						v, err := env.QueryWorkflow(workflows.QueryProgress)
						var r study.ExperimentResult
						if err != nil || v.Get(&r) != nil || r.Status != study.StatusPaused {
							t.Errorf("a second after the pause it is %s (%v)", r.Status, err)
						}
					}, early+time.Second)
					env.RegisterDelayedCallback(func() { send(t, env, study.Command{Action: study.ActionResume}) }, late)
				}
				env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"timeouts": workflows.Timeouts{Backoff: time.Minute}})
				var r study.ExperimentResult
				if err := env.GetWorkflowResult(&r); err != nil {
					t.Fatal(err)
				}
				ends := early
				if action == study.ActionPause {
					ends = late
				}
				if took := env.Now().Sub(begin); r.Status != want.status || r.Attempts != want.attempts || took != ends {
					t.Errorf("%s in %d attempts after %v, want %s in %d after %v", r.Status, r.Attempts, took, want.status, want.attempts, ends)
				}
			})
		}
	}
}
