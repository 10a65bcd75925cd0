package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// watchPriorities records with which priority every attempt was asked for: item ID -> one for every attempt.
func watchPriorities(env *testsuite.TestWorkflowEnvironment) map[string][]int {
	all := map[string][]int{}
	c := calls{activity: func(ctx workflow.Context, name string, args []any) {
		if name == "Train" {
			in, _ := args[0].(activities.TrainInput)
			all[in.Item.ID] = append(all[in.Item.ID], workflow.GetActivityOptions(ctx).Priority.PriorityKey)
		}
	}}
	c.watch(env)
	return all
}

// What the user wants while the hosts are still being checked holds when training begins.
func TestCommandsBeforeTraining(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	all := watchPriorities(env)
	env.OnActivity("Preflight", mock.Anything, mock.Anything).Return(w.checks, nil).After(time.Hour)
	ids := []string{}
	for _, it := range planned(t, w, workflows.TNSweepType) {
		ids = append(ids, it.ID)
	}
	update(t, env, 10*time.Minute, study.Command{Action: study.ActionPriority, Priority: 4}, ids...)
	update(t, env, 11*time.Minute, study.Command{Action: study.ActionPriority, Priority: 1, Experiments: ids[:1]}, ids[0])
	update(t, env, 12*time.Minute, study.Command{Action: study.ActionPause, Experiments: ids[1:2]}, ids[1])
	update(t, env, 13*time.Minute, study.Command{Action: study.ActionSkip, Experiments: ids[2:4]}, ids[2], ids[3])
	update(t, env, 14*time.Minute, study.Command{Action: study.ActionRetry, Experiments: ids[3:4]}, ids[3])
	update(t, env, 15*time.Minute, study.Command{Action: study.ActionResume, Experiments: ids[4:]}) // nobody has paused it
	update(t, env, 16*time.Minute, study.Command{Action: study.ActionExtend, Experiments: ids[4:], Epochs: 60000}, ids[4]+"_60000_epochs")
	update(t, env, 17*time.Minute, study.Command{Action: study.ActionAddSeeds, Experiments: ids[4:], Seeds: []int64{7}}, ids[4]+"-s7")
	update(t, env, 5*time.Hour, study.Command{Action: study.ActionResume}, ids[1])
	var paused study.SweepResult
	env.RegisterDelayedCallback(func() {
		v, err := env.QueryWorkflow(workflows.QueryProgress)
		if err != nil || v.Get(&paused) != nil {
			t.Error(err)
		}
	}, 4*time.Hour)
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	if s := rowOf(t, paused, ids[1]).Status; s != study.StatusPaused || paused.Done != 5 {
		t.Errorf("after four hours %s is %s and %d are done, want paused and 5", ids[1], s, paused.Done)
	}
	if s := rowOf(t, r, ids[2]).Status; s != study.StatusSkipped || r.Done != 6 {
		t.Errorf("%s is %s, %d done; want skipped and 6", ids[2], s, r.Done)
	}
	want := map[string]int{ids[0]: 1, ids[1]: 4, ids[3]: 4, ids[4]: 4, ids[4] + "_60000_epochs": 4, ids[4] + "-s7": 4}
	for id, p := range want {
		if !slices.Equal(all[id], []int{p}) {
			t.Errorf("%s was asked for with priorities %v, want once %d", id, all[id], p)
		}
	}
}

// Seeds that are added while the last report is written are trained, and reported.
func TestAddedAtTheEnd(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	env.OnActivity("Report", mock.Anything).Return(func(in activities.ReportInput) (activities.ReportResult, error) {
		w.reports = append(w.reports, in)
		return activities.ReportResult{}, nil
	}).After(time.Hour)
	update(t, env, 90*time.Minute, study.Command{Action: study.ActionAddSeeds, Experiments: []string{"e2_2_t2_n2"}, Seeds: []int64{7}},
		"e2_2_t2_n2-s7")
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	if last := w.reports[len(w.reports)-1]; r.Done != 6 || len(last.Items) != 6 || !last.Final {
		t.Errorf("%d done, %d in the last report", r.Done, len(last.Items))
	}
}

func TestStopAll(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	items := planned(t, w, workflows.TNSweepType)
	takeTime(env, items, func(study.Item) time.Duration { return time.Hour },
		func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
			return done(in), nil
		})
	var ids []string
	for _, it := range items {
		ids = append(ids, it.ID)
	}
	update(t, env, 30*time.Minute, study.Command{Action: study.ActionStop}, ids...)
	env.ExecuteWorkflow(workflows.TNSweepType)
	r := sweepResult(t, env)
	for _, e := range r.Experiments {
		if e.Status != study.StatusStopped {
			t.Errorf("%s is %s", e.Item.ID, e.Status)
		}
	}
	if r.Status != study.StatusStopped {
		t.Errorf("the sweep is %s", r.Status)
	}
}

// An update that is not exactly understood reaches nobody, and says all that is wrong.
func TestUpdatesAreStrict(t *testing.T) {
	for name, c := range map[string]struct {
		update string
		want   []string
	}{
		"no action": {`{}`, []string{`unknown action ""`}},
		"unknown action": {`{"action":"faster"}`,
			[]string{`unknown action "faster" (pause, resume, skip, retry, stop, priority, add_seeds, extend)`}},
		"misspelt field": {`{"action":"pause","experiment":["e1_1_baseline"]}`,
			[]string{`"experiment"; the nearest known one is "experiments"`}},
		"wrong type": {`{"action":"pause","experiments":"e1_1_baseline"}`, []string{`experiments: "e1_1_baseline" is not a list`}},
		"stray fields": {`{"action":"pause","priority":1,"seeds":[1],"epochs":4}`,
			[]string{"pause takes no priority", "pause takes no seeds", "pause takes no epochs"}},
		"priority":            {`{"action":"priority","priority":6}`, []string{"priority 6 (1 first to 5 last)"}},
		"seeds":               {`{"action":"add_seeds"}`, []string{"needs seeds"}},
		"twice the same seed": {`{"action":"add_seeds","seeds":[7,7,-1]}`, []string{"seed 7 is given twice", "seed -1"}},
		"extend":              {`{"action":"extend","epochs":7}`, []string{"extend needs experiments"}},
		"no object":           {`"pause"`, []string{"want a JSON object"}},
	} {
		for _, kind := range []string{workflows.ExperimentType, workflows.TNSweepType} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := newWorld()
				env := w.env(t)
				takeTime(env, planned(t, w, kindOf(kind)), func(study.Item) time.Duration { return time.Hour },
					func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
						return done(in), nil
					})
				answered := false
				env.RegisterDelayedCallback(func() {
					env.UpdateWorkflow(workflows.UpdateControl, "u", &testsuite.TestUpdateCallback{
						OnReject: func(err error) {
							answered = true
							for _, want := range c.want {
								if !strings.Contains(err.Error(), want) {
									t.Errorf("refused with %q, want %q", err, want)
								}
							}
						},
						OnAccept:   func() { t.Error("accepted") },
						OnComplete: func(any, error) {},
					}, json.RawMessage(c.update))
				}, time.Minute)
				env.ExecuteWorkflow(kind)
				if err := env.GetWorkflowError(); err != nil || !answered {
					t.Errorf("answered %v, %v", answered, err)
				}
			})
		}
	}
}

func kindOf(workflow string) string {
	if workflow == workflows.ExperimentType {
		return "e1_1_baseline"
	}
	return workflow
}

// Every command for one experiment, at its own workflow.
func TestExperimentUpdates(t *testing.T) {
	const minute = time.Minute
	for name, c := range map[string]struct {
		updates  []study.Command // one a minute
		refused  string
		status   string
		attempts int
	}{
		"retry":           {[]study.Command{{Action: study.ActionRetry}}, "", study.StatusDone, 2},
		"stop":            {[]study.Command{{Action: study.ActionStop}}, "", study.StatusStopped, 1},
		"skip":            {[]study.Command{{Action: study.ActionSkip}}, "", study.StatusSkipped, 1},
		"pause, resume":   {[]study.Command{{Action: study.ActionPause}, {Action: study.ActionResume}}, "", study.StatusDone, 2},
		"pause, stop":     {[]study.Command{{Action: study.ActionPause}, {Action: study.ActionStop}}, "", study.StatusStopped, 1},
		"pause, retry":    {[]study.Command{{Action: study.ActionPause}, {Action: study.ActionRetry}}, "", study.StatusDone, 2},
		"by its name":     {[]study.Command{{Action: study.ActionStop, Experiments: []string{"e1_1_baseline"}}}, "", study.StatusStopped, 1},
		"priority":        {[]study.Command{{Action: study.ActionPriority, Priority: 1}}, "", study.StatusDone, 1},
		"resume unpaused": {[]study.Command{{Action: study.ActionResume}}, "not paused", study.StatusDone, 1},
		"by another's name": {[]study.Command{{Action: study.ActionStop, Experiments: []string{"e2_2_t2_n2"}}},
			"this is e1_1_baseline, not e2_2_t2_n2", study.StatusDone, 1},
		"seeds are a sweep's": {[]study.Command{{Action: study.ActionAddSeeds, Seeds: []int64{1}}}, "for sweeps", study.StatusDone, 1},
		"so is extend": {[]study.Command{{Action: study.ActionExtend, Experiments: []string{"e1_1_baseline"}, Epochs: 7}}, "for sweeps",
			study.StatusDone, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			env := w.env(t)
			takeTime(env, planned(t, w, "e1_1_baseline"), func(study.Item) time.Duration { return time.Hour },
				func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
					return done(in), nil
				})
			for i, u := range c.updates {
				env.RegisterDelayedCallback(func() {
					env.UpdateWorkflow(workflows.UpdateControl, u.Action, &testsuite.TestUpdateCallback{
						OnReject: func(err error) {
							if c.refused == "" || !strings.Contains(err.Error(), c.refused) {
								t.Errorf("%s refused: %v", u.Action, err)
							}
						},
						OnAccept: func() {
							if c.refused != "" {
								t.Errorf("%s accepted", u.Action)
							}
						},
						OnComplete: func(any, error) {},
					}, u)
				}, time.Duration(i+1)*minute)
			}
			if c.updates[0].Action != study.ActionPriority { // the first attempt has begun
				sendProgress(env, 30*time.Second, "default-test-workflow-id", study.Progress{Step: 5})
			}
			env.ExecuteWorkflow(workflows.ExperimentType)
			var r study.ExperimentResult
			if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			if r.Status != c.status || r.Attempts != c.attempts {
				t.Errorf("%s after %d attempts, want %s after %d", r.Status, r.Attempts, c.status, c.attempts)
			}
		})
	}
}

// A waiting attempt is asked for again with the new priority; one that trains keeps its host.
func TestPriorityOfWhatWaits(t *testing.T) {
	for _, began := range []bool{false, true} {
		w := newWorld()
		env := w.env(t)
		all := watchPriorities(env)
		takeTime(env, planned(t, w, "e1_1_baseline"), func(study.Item) time.Duration { return time.Hour },
			func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
				return done(in), nil
			})
		if began {
			sendProgress(env, time.Minute, "default-test-workflow-id", study.Progress{Step: 5})
		}
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.UpdateControl, "u",
				&testsuite.TestUpdateCallback{OnReject: func(err error) { t.Error(err) }, OnAccept: func() {}, OnComplete: func(any, error) {}},
				study.Command{Action: study.ActionPriority, Priority: 1})
		}, 2*time.Minute)
		env.ExecuteWorkflow(workflows.ExperimentType, map[string]any{"priority": 5})
		want := []int{5, 1}
		if began {
			want = want[:1]
		}
		if err := env.GetWorkflowError(); err != nil || !slices.Equal(all["e1_1_baseline"], want) {
			t.Errorf("begun %v: priorities %v, want %v (%v)", began, all, want, err)
		}
	}
}

// A pause that is taken back while the attempt still saves is no failure: it counts
// towards no limit and nothing is waited for. An attempt that no host had taken is none.
func TestResumedWhileSaving(t *testing.T) {
	for name, c := range map[string]struct {
		began    bool
		attempts int
	}{
		"attempts that train": {true, study.MaxFailures + 2},
		"attempts that wait":  {false, 1},
	} {
		t.Run(name, func(t *testing.T) { resumeWhileSaving(t, c.began, c.attempts) })
	}
}

func resumeWhileSaving(t *testing.T, began bool, attempts int) {
	w := newWorld()
	env := w.env(t)
	takeTime(env, planned(t, w, "e1_1_baseline"), func(study.Item) time.Duration { return time.Hour },
		func(ctx context.Context, in activities.TrainInput) (activities.TrainResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.attempts[in.Item.Run]++
			if w.attempts[in.Item.Run] <= study.MaxFailures+1 {
				return activities.TrainResult{}, temporal.NewCanceledError(study.Progress{Step: 5, StartedAt: env.Now()})
			}
			return done(in), nil
		})
	for i := range study.MaxFailures + 1 {
		if began {
			sendProgress(env, time.Duration(i)*time.Hour+30*time.Second, "default-test-workflow-id", study.Progress{Step: 5})
		}
		env.RegisterDelayedCallback(func() {
			for _, action := range []string{study.ActionPause, study.ActionResume} {
				send(t, env, study.Command{Action: action})
			}
		}, time.Minute+time.Duration(i)*time.Hour)
	}
	begin := env.Now()
	env.ExecuteWorkflow(workflows.ExperimentType)
	var r study.ExperimentResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	want := r
	want.Failures = 0
	want.WithoutCommit = 0
	want.Status = study.StatusDone
	want.Attempts = attempts
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if took := env.Now().Sub(begin); took != time.Minute+time.Duration(study.MaxFailures+1)*time.Hour {
		t.Errorf("it took %v: something was waited for between the attempts", took)
	}
}

// send sends a control that must be accepted.
func send(t *testing.T, env *testsuite.TestWorkflowEnvironment, c study.Command) {
	t.Helper()
	env.UpdateWorkflow(workflows.UpdateControl, c.Action+env.Now().String(), &testsuite.TestUpdateCallback{
		OnReject: func(err error) { t.Errorf("%s refused: %v", c.Action, err) }, OnAccept: func() {}, OnComplete: func(any, error) {}}, c)
}
