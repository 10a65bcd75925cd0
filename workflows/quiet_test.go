package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// Events that a server adds to a history, each with the workflow task (scheduled, started, completed) that it causes. The
// test environment keeps no histories.
const (
	task       = 3
	perSignal  = 1 + task // signaled
	perTimer   = 2 + task // started; fired
	perCall    = 3 + task // of an activity: scheduled; started, completed
	perSent    = 2 + task // signal to another: initiated; signaled
	perUpsert  = 1
	perOpening = 3 + 2*task // child: initiated; started; completed
)

// eventCounter counts what makes the histories of workflows longer between two times.
type eventCounter struct {
	interceptor.WorkerInterceptorBase
	mu       sync.Mutex
	from, to time.Time
	events   map[string]int // by workflow id
	types    map[string]string
}

func (c *eventCounter) watch(env *testsuite.TestWorkflowEnvironment) {
	c.events = map[string]int{}
	c.types = map[string]string{}
	env.SetWorkerOptions(sdkworker.Options{DeadlockDetectionTimeout: time.Minute, Interceptors: []interceptor.WorkerInterceptor{c}})
}

func (c *eventCounter) add(ctx workflow.Context, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := workflow.GetInfo(ctx)
	now := workflow.Now(ctx)
	id := info.WorkflowExecution.ID
	c.types[id] = info.WorkflowType.Name
	if now.After(c.from) && now.Before(c.to) {
		c.events[id] += n
	}
}

// most is the most events of a workflow of a type.
func (c *eventCounter) most(workflowType string) int {
	most := 0
	for id, n := range c.events {
		if c.types[id] == workflowType {
			most = max(most, n)
		}
	}
	return most
}

func (c *eventCounter) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	return &countInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, c}
}

type countInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	to *eventCounter
}

func (i *countInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&countOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: out}, i.to})
}

func (i *countInbound) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	i.to.add(ctx, perSignal)
	return i.Next.HandleSignal(ctx, in)
}

type countOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	to *eventCounter
}

func (o *countOutbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.to.add(ctx, perCall)
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *countOutbound) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	o.to.add(ctx, perOpening)
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func (o *countOutbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.to.add(ctx, perTimer)
	return o.Next.NewTimer(ctx, d)
}

func (o *countOutbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.to.add(ctx, perTimer)
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *countOutbound) SignalExternalWorkflow(ctx workflow.Context, id, run, name string, arg any) workflow.Future {
	o.to.add(ctx, perSent)
	return o.Next.SignalExternalWorkflow(ctx, id, run, name, arg)
}

func (o *countOutbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	o.to.add(ctx, perUpsert)
	return o.Next.UpsertTypedSearchAttributes(ctx, updates...)
}

// An hour in which eighteen experiments do nothing but train on two hosts: what it adds to the histories. Attempts say of
// their progress what the activity lets through at most, a checkpoint every five minutes.
func TestAnHourOfTrainingIsQuiet(t *testing.T) {
	const hours, attempt = 3, 5 * time.Hour
	w := newWorld()
	env := w.env(t)
	w.progress = func() *study.Progress { return &study.Progress{Step: 100 + int64(w.looks), Total: 1000} }
	counter := &eventCounter{}
	counter.watch(env)
	begin := env.Now()
	counter.from = begin.Add(90 * time.Minute)
	counter.to = counter.from.Add(time.Hour)
	free := 2
	takeTime(env, planned(t, w, workflows.AllAblationsType), func(it study.Item) time.Duration {
		w.mu.Lock()
		defer w.mu.Unlock()
		for minutes := 0; free > 0 && minutes < hours*60; minutes += 5 {
			p := study.Progress{Step: int64(minutes), CommittedStep: int64(minutes), Total: it.TotalSteps, StartedAt: begin}
			sendProgress(env, time.Duration(minutes)*time.Minute, "default-test-workflow-id/"+it.Phase+"/"+it.ID, p)
		}
		free--
		return attempt
	}, func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
		return done(in), nil
	})
	env.ExecuteWorkflow(workflows.AllAblationsType)
	if r := sweepResult(t, env); r.Done != 18 || env.Now().Sub(begin) < attempt {
		t.Fatalf("%d done after %s", r.Done, env.Now().Sub(begin))
	}
	if w.looks == 0 {
		t.Error("nobody looked at the heartbeats for the page of the sweep")
	}
	for _, c := range []struct {
		name string
		most int
	}{
		{workflows.AllAblationsType, 20},
		{workflows.PhaseType, 0},
		{workflows.ExperimentType, 60},
	} {
		got := counter.most(c.name)
		t.Logf("%s: %d events", c.name, got)
		if got > c.most {
			t.Errorf("%s: %d events in an hour, want at most %d", c.name, got, c.most)
		}
	}
	if counter.most(workflows.ExperimentType) == 0 {
		t.Error("nothing was counted while experiments trained")
	}
}
