package workflows_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// Progress that comes late, behind newer progress or behind the end of its attempt, changes nothing.
func TestOutdatedProgressIsIgnored(t *testing.T) {
	const workflow = "default-test-workflow-id"
	w := newWorld()
	env := w.env(t)
	first, second := time.Unix(1000, 0), time.Unix(2000, 0)
	takeTime(env, planned(t, w, "e1_1_baseline"), func(study.Item) time.Duration { return time.Hour },
		func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
			if in.Attempt == 1 {
				return activities.TrainResult{}, preempted(study.Progress{Step: 50, CommittedStep: 40, StartedAt: first})
			}
			return done(in), nil
		})
	reported := func(minutes int, step int64, began time.Time) {
		sendProgress(env, time.Duration(minutes)*time.Minute, workflow, study.Progress{Step: step, StartedAt: began})
	}
	reported(10, 30, first)
	reported(11, 20, first) // was sent before
	checkProgress(t, env, 12, 30, study.StatusRunning)
	reported(70, 50, first) // of the attempt that has ended
	checkProgress(t, env, 71, 50, study.StatusQueued)
	reported(72, 41, second)
	reported(73, 49, first)
	checkProgress(t, env, 74, 41, study.StatusRunning)
	reported(75, 43, time.Time{}) // of a worker that does not say when its attempt began
	checkProgress(t, env, 76, 43, study.StatusRunning)
	env.ExecuteWorkflow(workflows.ExperimentType)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
}

func checkProgress(t *testing.T, env *testsuite.TestWorkflowEnvironment, minute int, step int64, status string) {
	env.RegisterDelayedCallback(func() {
		v, err := env.QueryWorkflow(workflows.QueryProgress)
		var r study.ExperimentResult
		if err != nil || v.Get(&r) != nil || r.Progress.Step != step || r.Status != status {
			t.Errorf("after %d minutes: step %d, %s (%v); want step %d, %s", minute, r.Progress.Step, r.Status, err, step, status)
		}
	}, time.Duration(minute)*time.Minute)
}
