package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// atWork counts on the workflow's clock how many attempts run at once.
type atWork struct {
	env       *testsuite.TestWorkflowEnvironment
	mu        sync.Mutex
	now, most int
}

// begin is an attempt of an hour.
func (a *atWork) begin(study.Item) time.Duration {
	a.add(1)
	a.env.RegisterDelayedCallback(func() { a.add(-1) }, time.Hour)
	return time.Hour
}

func (a *atWork) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now += n
	a.most = max(a.most, a.now)
}

// Whatever the user adds or starts again, no more attempts run at once than the sweep may.
func TestParallelismHolds(t *testing.T) {
	for _, parallelism := range []int{1, 2} {
		for name, c := range map[string]struct {
			minutes int
			control study.Command
			done    int
		}{
			"started again": {65, study.Command{Action: study.ActionRetry, Experiments: []string{"e2_2_t2_n2"}}, 5},
			"seeds":         {5, study.Command{Action: study.ActionAddSeeds, Experiments: []string{"e2_2_t3_n4"}, Seeds: []int64{7, 8, 9}}, 8},
			"early seeds":   {-5, study.Command{Action: study.ActionAddSeeds, Experiments: []string{"e2_2_t3_n4"}, Seeds: []int64{7, 8, 9}}, 8},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld()
				env := w.env(t)
				all := &atWork{env: env}
				env.OnActivity("Preflight", mock.Anything, mock.Anything).Return(w.checks, nil).After(10 * time.Minute)
				items := planned(t, w, workflows.TNSweepType)
				for _, s := range []int64{7, 8, 9} {
					p, err := w.real.Plan(t.Context(), activities.PlanInput{
						Names:   []string{"e2_2_t3_n4"},
						Input:   study.SweepInput{Seeds: []int64{s}},
						SeedIDs: true,
					})
					if err != nil {
						t.Fatal(err)
					}
					items = append(items, p.Items...)
				}
				takeTime(env, items, all.begin, func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
					if in.Attempt == 1 && c.control.Action == study.ActionRetry && in.Item.ID == c.control.Experiments[0] {
						return activities.TrainResult{}, temporal.NewNonRetryableApplicationError("loss is NaN", activities.ErrFinal, nil)
					}
					return done(in), nil
				})
				env.RegisterDelayedCallback(func() { send(t, env, c.control) }, time.Duration(10+c.minutes)*time.Minute)
				env.ExecuteWorkflow(workflows.TNSweepType, map[string]any{"parallelism": parallelism})
				if r := sweepResult(t, env); r.Done != c.done || all.most != parallelism {
					t.Errorf("%d done, up to %d at once; want %d done, %d at once", r.Done, all.most, c.done, parallelism)
				}
			})
		}
	}
}

// An experiment of a later phase can be extended while an earlier one runs: nothing waits for what waits for it.
func TestExtendOfALaterPhase(t *testing.T) {
	w := newWorld()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		if in.Item.ID == "e1_1_baseline" {
			return slowly(n, in)
		}
		return done(in), nil
	}
	env := w.env(t)
	update(t, env, 30*time.Second, study.Command{Action: study.ActionExtend, Epochs: 60000, Experiments: []string{"e2_2_t2_n2"}},
		"e2_2_t2_n2_60000_epochs")
	env.ExecuteWorkflow(workflows.AllAblationsType, map[string]any{"parallelism": 1, "phases": []string{"baseline", "ablations"}})
	r := sweepResult(t, env)
	e := rowOf(t, r, "e2_2_t2_n2_60000_epochs")
	got := outcome{Failed: r.Failed, Forks: len(w.forks), Status: e.Status}
	if diff := cmp.Diff(outcome{Forks: 1, Status: study.StatusDone}, got); diff != "" {
		t.Errorf("the extended experiment (-want +got):\n%s\nforks %+v, error %q", diff, w.forks, e.Error)
	}
}

// The same across a continue-as-new: the next history still waits for the experiment to extend.
func TestExtendOfALaterRound(t *testing.T) {
	w := newWorld()
	workflows.SetRoundSize(t, 50)
	w.plan = manyItems(60)
	from := w.plan.Items[58]
	to := from
	to.ID, to.Run = from.ID+"_more", "0123456789abcdef-s42"
	var input any = map[string]any{}
	for histories := 1; ; histories++ {
		env := w.env(t)
		env.SetContinueAsNewSuggested(histories == 1)
		env.OnActivity("Extend", mock.Anything, mock.Anything).Return(to, nil)
		env.OnActivity("Train", mock.Anything, mock.Anything).After(time.Hour).
			Return(func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
				if in.Item.ID == to.ID && len(w.forks) == 0 {
					t.Error("it is trained before it has its first checkpoint")
				}
				return done(in), nil
			})
		if histories == 1 {
			env.RegisterDelayedCallback(func() {
				send(t, env, study.Command{Action: study.ActionExtend, Epochs: 60000, Experiments: []string{from.ID}})
			}, 30*time.Minute)
		}
		env.ExecuteWorkflow(workflows.AllAblationsType, input)
		if next := nextRun(t, env); next != nil {
			input = next
			continue
		}
		r := sweepResult(t, env)
		e := rowOf(t, r, to.ID)
		got := outcome{Histories: histories, Done: r.Done, Forks: len(w.forks), Status: e.Status, Attempts: e.Attempts}
		want := outcome{Histories: 2, Done: 61, Forks: 1, Status: study.StatusDone, Attempts: 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the extended experiment (-want +got):\n%s\nforks %+v, error %q", diff, w.forks, e.Error)
		}
		return
	}
}
