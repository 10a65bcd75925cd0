package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// slowAttempts is how many attempts slowly takes.
const slowAttempts = 5

// slowly trains an experiment in two and a half minutes, of which it commits nothing before the end.
func slowly(n int, in activities.TrainInput) (activities.TrainResult, error) {
	if n < slowAttempts {
		return activities.TrainResult{}, preempted(study.Progress{})
	}
	return done(in), nil
}

// update sends a control after a while; it must be accepted and reach whom it should.
func update(t *testing.T, env *testsuite.TestWorkflowEnvironment, after time.Duration, c study.Command, want ...string) {
	t.Helper()
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateControl, c.Action+after.String(), &testsuite.TestUpdateCallback{
			OnReject: func(err error) { t.Errorf("%s refused: %v", c.Action, err) },
			OnAccept: func() {},
			OnComplete: func(got any, err error) {
				reached, _ := got.([]string)
				if err != nil || !slices.Equal(reached, want) {
					t.Errorf("%s reached %q (%v), want %q", c.Action, reached, err, want)
				}
			},
		}, c)
	}, after)
}

// refused sends a control that must be refused with a message.
func refused(t *testing.T, env *testsuite.TestWorkflowEnvironment, after time.Duration, c study.Command, want string) {
	t.Helper()
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateControl, c.Action+after.String()+want, &testsuite.TestUpdateCallback{
			OnReject: func(err error) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s refused with %v, want %q", c.Action, err, want)
				}
			},
			OnAccept:   func() { t.Errorf("%s %v accepted", c.Action, c.Experiments) },
			OnComplete: func(any, error) {},
		}, c)
	}, after)
}

func rowOf(t *testing.T, r study.SweepResult, id string) study.ExperimentResult {
	t.Helper()
	for _, e := range r.Experiments {
		if e.Item.ID == id {
			return e
		}
	}
	t.Fatalf("no row %s", id)
	return study.ExperimentResult{}
}

// outcome is what tests of commands compare of a sweep and of the experiment that the command made or changed.
type outcome struct {
	Histories, Done, Failed, Forks int

	Status   string
	Attempts int
	Error    string
	ForkTo   string // ID of what the first fork made
}

func TestRetryRevivesAFailedExperiment(t *testing.T) {
	w := newWorld()
	broken := true
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		switch in.Item.ID {
		case "e2_2_t2_n2":
			return slowly(n, in)
		case "e2_2_t4_n6":
			if broken {
				return activities.TrainResult{}, temporal.NewNonRetryableApplicationError("loss is NaN", activities.ErrFinal, nil)
			}
		}
		return done(in), nil
	}
	env := w.env(t)
	env.RegisterDelayedCallback(func() { broken = false }, 30*time.Second)
	update(t, env, 31*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t4_n6"}}, "e2_2_t4_n6")
	refused(t, env, 32*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t4_n7"}}, `nearest is "e2_2_t4_n6"`)
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	e := rowOf(t, r, "e2_2_t4_n6")
	got := outcome{Done: r.Done, Failed: r.Failed, Attempts: e.Attempts, Error: e.Error}
	if diff := cmp.Diff(outcome{Done: 5, Attempts: 2}, got); diff != "" {
		t.Errorf("the revived experiment (-want +got):\n%s", diff)
	}
	if last := w.reports[len(w.reports)-1]; len(last.Failures) != 0 {
		t.Errorf("the last report has failures %v", last.Failures)
	}
}

// A revived experiment waits for the slot of another, not for itself.
func TestRetryOneAtATime(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		switch {
		case in.Item.ID == "e2_2_t2_n2" && n == 1:
			return activities.TrainResult{}, temporal.NewNonRetryableApplicationError("loss is NaN", activities.ErrFinal, nil)
		case in.Item.ID == "e2_2_t3_n4":
			return slowly(n, in)
		}
		return done(in), nil
	}
	env := w.env(t)
	update(t, env, 31*time.Second, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t2_n2"}}, "e2_2_t2_n2")
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"parallelism": 1})
	r := sweepResult(t, env)
	if r.Done != 5 {
		t.Errorf("%d done, want 5", r.Done)
	}
	if e := rowOf(t, r, "e2_2_t2_n2"); e.Attempts != 2 {
		t.Errorf("the revived row has %d attempts, want 2; its status is %s, error %q", e.Attempts, e.Status, e.Error)
	}
}

func TestAddSeeds(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if in.Item.ID == "e2_2_t2_n2" {
			return slowly(n, in)
		}
		return done(in), nil
	}
	env := w.env(t)
	update(t, env, 30*time.Second, study.Command{Action: study.ActionAddSeeds, Seeds: []int64{42, 7, 8}, Experiments: []string{"e2_2_t3_n4"}},
		"e2_2_t3_n4-s7", "e2_2_t3_n4-s8")
	refused(t, env, 31*time.Second, study.Command{Action: study.ActionAddSeeds}, "needs seeds")
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	if r.Done != 7 || len(w.attempts) != 7 || rowOf(t, r, "e2_2_t3_n4-s7").Item.Seed != 7 {
		t.Errorf("%d done, %d runs; want the five and two more (seed 42 was there)", r.Done, len(w.attempts))
	}
}

func TestExtendGoesOnFromTheEnd(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if in.Item.Experiment == "e2_2_t2_n2" {
			return slowly(n, in)
		}
		return done(in), nil
	}
	env := w.env(t)
	update(t, env, 30*time.Second, study.Command{Action: study.ActionExtend, Epochs: 60000, Experiments: []string{"e2_2_t2_n2"}},
		"e2_2_t2_n2_60000_epochs")
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	e := rowOf(t, r, "e2_2_t2_n2_60000_epochs")
	if len(w.forks) != 1 {
		t.Fatalf("forks %+v, want one", w.forks)
	}
	got := outcome{Done: r.Done, ForkTo: w.forks[0].To.ID}
	if diff := cmp.Diff(outcome{Done: 6, ForkTo: e.Item.ID}, got); diff != "" {
		t.Errorf("the extended experiment (-want +got):\n%s", diff)
	}
	if short := rowOf(t, r, "e2_2_t2_n2"); e.Item.TotalSteps <= short.Item.TotalSteps {
		t.Errorf("extended to %d steps from %d", e.Item.TotalSteps, short.Item.TotalSteps)
	}
	if w.attempts[w.forks[0].From.Run] != slowAttempts {
		t.Error("it did not wait for the end of the experiment that it goes on from")
	}
}

func TestParallelSweepSkipsPausesAndReorders(t *testing.T) {
	w := newWorld()
	var order []string
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if n == 1 {
			w.mu.Lock()
			order = append(order, in.Item.ID)
			w.mu.Unlock()
		}
		if in.Item.ID == "e2_2_t2_n2" {
			return slowly(n, in)
		}
		return done(in), nil
	}
	env := w.env(t)
	for _, id := range []string{"e2_2_t2_n6", "e2_2_t4_n6"} {
		env.OnSignalExternalWorkflow(mock.Anything, "default-test-workflow-id/ablations/"+id, mock.Anything, mock.Anything, mock.Anything).
			Return(errors.New("not found"))
	}
	// One at a time: the others have not begun, and it is their phase that must hear of this.
	update(t, env, 30*time.Second, study.Command{Action: study.ActionSkip, Experiments: []string{"e2_2_t2_n6"}}, "e2_2_t2_n6")
	update(t, env, 31*time.Second, study.Command{Action: study.ActionPause, Experiments: []string{"e2_2_t4_n6"}}, "e2_2_t4_n6")
	update(t, env, time.Hour, study.Command{Action: study.ActionResume, Experiments: []string{"e2_2_t4_n6"}}, "e2_2_t4_n6")
	env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"parallelism": 1})
	r := sweepResult(t, env)
	if got := rowOf(t, r, "e2_2_t2_n6"); got.Status != study.StatusSkipped || got.Attempts != 0 {
		t.Errorf("the skipped one is %s after %d attempts", got.Status, got.Attempts)
	}
	if got := rowOf(t, r, "e2_2_t4_n6"); got.Status != study.StatusDone {
		t.Errorf("the paused one is %s", got.Status)
	}
	if r.Done != 4 || len(order) != 4 {
		t.Errorf("%d done in order %v", r.Done, order)
	}
}

func TestPriority(t *testing.T) {
	env := newWorld().env(t)
	refused(t, env, 0, study.Command{Action: study.ActionPriority, Priority: 6}, "priority 6")
	refused(t, env, 0, study.Command{Action: "faster"}, "unknown action")
	env.ExecuteWorkflow(workflows.ExperimentType)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
}

func TestPreflightFailureTrainsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		input  map[string]any
		want   string
		trains bool
	}{
		"a check": {func(w *world) { w.checks.Add(preflight.Row{Check: "store", Detail: "no permission"}) }, nil,
			"store: no permission", false},
		"a trial":            {func(w *world) { w.unfit = "e2_2_t3_n4" }, nil, "trial of e2_2_t3_n4", false},
		"checks only":        {func(w *world) { w.unfit = "e2_2_t3_n4" }, map[string]any{"preflight": "checks"}, "", true},
		"none":               {func(w *world) { w.checks.Add(preflight.Row{Check: "store"}) }, map[string]any{"preflight": "none"}, "", true},
		"a word it is not":   {func(*world) {}, map[string]any{"preflight": "some"}, `preflight "some"`, false},
		"everything is well": {func(*world) {}, nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.change(w)
			env := w.env(t)
			if c.input == nil {
				env.ExecuteWorkflow(workflows.TNSweepType)
			} else {
				env.ExecuteWorkflow(workflows.TNSweepType, c.input)
			}
			err := env.GetWorkflowError()
			silent := err != nil && !strings.Contains(err.Error(), c.want)
			if (err != nil) != (c.want != "") || silent {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if (len(w.attempts) > 0) != c.trains {
				t.Errorf("%d runs trained", len(w.attempts))
			}
		})
	}
}

func TestOneTrialPerShape(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	env.ExecuteWorkflow(workflows.AllAblationsType)
	r := sweepResult(t, env)
	slices.Sort(w.trials)
	// The five T x n, attention, the large and the deeper model; of one shape the largest batch.
	want := []string{"e2_2_t2_n2", "e2_2_t2_n6", "e2_2_t3_n4", "e2_2_t4_n6", "e2_3_attention", "e3_1_large_model", "e4_3_deeper_model",
		"e4_5_larger_batch"}
	if !slices.Equal(w.trials, want) {
		t.Errorf("trials %v, want %v", w.trials, want)
	}
	if len(r.Preflight) != 1+len(want) {
		t.Errorf("preflight has %d rows, want %d: %+v", len(r.Preflight), 1+len(want), r.Preflight)
	}
}
