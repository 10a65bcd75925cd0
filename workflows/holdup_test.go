package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// watchHoldups records, without repetitions, what the search attribute says of the workflows of a type.
func watchHoldups(env *testsuite.TestWorkflowEnvironment, of string) *[]string {
	kinds := &[]string{}
	c := calls{attributes: func(ctx workflow.Context, updates []temporal.SearchAttributeUpdate) {
		kind, ok := temporal.NewSearchAttributes(updates...).GetKeyword(temporal.NewSearchAttributeKeyKeyword(queues.AttrHoldup))
		if !ok || workflow.GetInfo(ctx).WorkflowType.Name != of {
			return
		}
		if n := len(*kinds); n == 0 || (*kinds)[n-1] != kind {
			*kinds = append(*kinds, kind)
		}
	}}
	c.watch(env)
	return kinds
}

// Whatever holds an experiment up is in its search attribute, in its row and, as a sentence, on its page; and is gone when it is over.
func TestHoldupsOfAnExperiment(t *testing.T) {
	const id = "default-test-workflow-id"
	progress := func(kind string) study.Progress {
		p := study.Progress{Step: 5}
		if kind != "" {
			p.Holdup = protocol.Holdup{Kind: kind, Where: "host-a", Detail: "it says why"}
		}
		return p
	}
	for name, c := range map[string]struct {
		begin, end func(*testing.T, *testsuite.TestWorkflowEnvironment)
		want       []string
		says       string
	}{
		"disk full": {
			func(_ *testing.T, env *testsuite.TestWorkflowEnvironment) {
				_ = env.SignalWorkflowByID(id, workflows.SignalProgress, progress(protocol.HoldupDiskFull))
			},
			func(_ *testing.T, env *testsuite.TestWorkflowEnvironment) {
				_ = env.SignalWorkflowByID(id, workflows.SignalProgress, progress(""))
			},
			[]string{protocol.HoldupNoSlot, "", protocol.HoldupDiskFull, ""},
			"no space left on host-a: it says why",
		},
		"paused in the Web UI": {
			func(_ *testing.T, env *testsuite.TestWorkflowEnvironment) {
				_ = env.SignalWorkflowByID(id, workflows.SignalProgress, progress(protocol.HoldupActivityPaused))
			},
			func(_ *testing.T, env *testsuite.TestWorkflowEnvironment) {
				_ = env.SignalWorkflowByID(id, workflows.SignalProgress, progress(""))
			},
			[]string{protocol.HoldupNoSlot, "", protocol.HoldupActivityPaused, ""},
			"paused in the Web UI",
		},
		"paused by a command": {
			func(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
				send(t, env, study.Command{Action: study.ActionPause})
			},
			func(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
				send(t, env, study.Command{Action: study.ActionResume})
			},
			[]string{protocol.HoldupNoSlot, "", protocol.HoldupPaused, protocol.HoldupNoSlot, ""},
			"`trmsweep resume --sweep sweep`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			env := w.env(t)
			kinds := watchHoldups(env, workflows.ExperimentType)
			takeTime(env, planned(t, w, "e1_1_baseline"), func(study.Item) time.Duration { return time.Hour },
				func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
					return done(in), nil
				})
			sendProgress(env, time.Minute, id, progress(""))
			env.RegisterDelayedCallback(func() { c.begin(t, env) }, 2*time.Minute)
			env.RegisterDelayedCallback(func() {
				var r study.ExperimentResult
				v, err := env.QueryWorkflow(workflows.QueryProgress)
				if err != nil || v.Get(&r) != nil {
					t.Error(err)
				}
				lines := strings.Join(study.Holdups("sweep", []study.ExperimentResult{r}), "\n")
				if !strings.Contains(lines, c.says) || r.TimeLeft() != "" {
					t.Errorf("the row says %q, want %q", lines, c.says)
				}
			}, 3*time.Minute)
			env.RegisterDelayedCallback(func() { c.end(t, env) }, 4*time.Minute)
			env.ExecuteWorkflow(workflows.ExperimentType)
			if err := env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(*kinds, c.want) {
				t.Errorf("held up by %q, want %q", *kinds, c.want)
			}
		})
	}
}
