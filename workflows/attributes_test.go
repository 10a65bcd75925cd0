package workflows_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/queues"
	"trmsweep/workflows"
)

// upserted records the values that every workflow gives a search attribute, in order.
type upserted struct {
	interceptor.WorkerInterceptorBase
	mu  sync.Mutex
	got map[string]map[string][]any // workflow type -> attribute -> values
}

func watchAttributes(env *testsuite.TestWorkflowEnvironment) *upserted {
	u := &upserted{got: map[string]map[string][]any{}}
	env.SetWorkerOptions(sdkworker.Options{DeadlockDetectionTimeout: time.Minute, Interceptors: []interceptor.WorkerInterceptor{u}})
	return u
}

func (u *upserted) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &upsertedInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, u}
}

type upsertedInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	all *upserted
}

func (i *upsertedInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&upsertedOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: out}, i.all})
}

type upsertedOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	all *upserted
}

func (o *upsertedOutbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	name := workflow.GetInfo(ctx).WorkflowType.Name
	o.all.mu.Lock()
	if o.all.got[name] == nil {
		o.all.got[name] = map[string][]any{}
	}
	got, values := o.all.got[name], temporal.NewSearchAttributes(updates...)
	for _, key := range []string{queues.AttrSweep, queues.AttrPhase, queues.AttrStatus} {
		if v, ok := values.GetKeyword(temporal.NewSearchAttributeKeyKeyword(key)); ok {
			got[key] = append(got[key], v)
		}
	}
	if v, ok := values.GetFloat64(temporal.NewSearchAttributeKeyFloat64(queues.AttrGoodput)); ok {
		got[queues.AttrGoodput] = append(got[queues.AttrGoodput], v)
	}
	o.all.mu.Unlock()
	return o.Next.UpsertTypedSearchAttributes(ctx, updates...)
}

// Phases can be found by their status as sweeps and experiments can, and no goodput has more than four digits.
func TestSearchAttributes(t *testing.T) {
	w := newWorld()
	env := w.env(t)
	all := watchAttributes(env)
	takeTime(env, planned(t, w, workflows.TNSweepType), func(activities.Item) time.Duration { return 3 * time.Hour / 2 },
		func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
			r := done(in)
			r.Progress.StartedAt, r.Progress.Goodput = time.Unix(1, 0), map[string]float64{"starting": 1, "training": 2000}
			return r, nil
		})
	env.ExecuteWorkflow(workflows.TNSweepType)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	phase := all.got[workflows.PhaseType]
	if got := phase[queues.AttrStatus]; !slices.Equal(got, []any{workflows.StatusRunning, workflows.StatusDone}) {
		t.Errorf("the phase's statuses are %v", got)
	}
	if got := phase[queues.AttrPhase]; len(got) == 0 || got[0] != "ablations" {
		t.Errorf("the phase is %v", got)
	}
	if got := phase[queues.AttrSweep]; len(got) == 0 || got[0] != "default-test-workflow-id" {
		t.Errorf("the phase's sweep is %v", got)
	}
	long := 0
	for name := range maps.Keys(all.got) {
		for _, v := range all.got[name][queues.AttrGoodput] {
			g, _ := v.(float64)
			if g != math.Round(g*1e4)/1e4 {
				t.Errorf("%s shows goodput %v", name, g)
			}
			if g > 0 {
				long++
			}
		}
	}
	if long == 0 {
		t.Error("no goodput was shown")
	}
}
