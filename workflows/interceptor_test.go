package workflows_test

import (
	"sync"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// calls lets a test see what workflows ask for; the functions are called one at a time.
type calls struct {
	interceptor.WorkerInterceptorBase
	mu         sync.Mutex
	activity   func(ctx workflow.Context, name string, args []any)
	attributes func(ctx workflow.Context, updates []temporal.SearchAttributeUpdate)
}

func (c *calls) watch(env *testsuite.TestWorkflowEnvironment) {
	env.SetWorkerOptions(sdkworker.Options{DeadlockDetectionTimeout: time.Minute, Interceptors: []interceptor.WorkerInterceptor{c}})
}

func (c *calls) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &callsInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, c}
}

type callsInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	to *calls
}

func (i *callsInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&callsOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: out}, i.to})
}

type callsOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	to *calls
}

func (o *callsOutbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if see := o.to.activity; see != nil {
		o.to.mu.Lock()
		see(ctx, name, args)
		o.to.mu.Unlock()
	}
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *callsOutbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	if see := o.to.attributes; see != nil {
		o.to.mu.Lock()
		see(ctx, updates)
		o.to.mu.Unlock()
	}
	return o.Next.UpsertTypedSearchAttributes(ctx, updates...)
}
