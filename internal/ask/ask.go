// Package ask queries and updates workflows, for every client. Only a worker can answer: where none does, the caller hears
// that within a bounded time, and who listens on the workflow's task queue. It knows nothing of what is asked.
package ask

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// ErrNobody says that no worker answers.
var ErrNobody = errors.New("no worker answers")

// ErrEnded says that a workflow takes no updates any more.
var ErrEnded = errors.New("it has ended")

// Workflow names a workflow. Without a run it is the latest one.
type Workflow struct{ ID, Run string }

// Patience is how long to wait for an answer. Zero values mean the defaults.
type Patience struct {
	Answer time.Duration // 30 s: a worker answers within a second, or is busy with a long history
	Worker time.Duration // Starting: for one to listen
}

// Starting is how long a worker that is just starting may take to listen.
const Starting = 2 * time.Second

func (p Patience) orDefault() Patience {
	if p.Answer == 0 {
		p.Answer = 30 * time.Second
	}
	if p.Worker == 0 {
		p.Worker = Starting
	}
	return p
}

// Query asks a workflow. An error is ErrNobody if no worker answers.
func Query(ctx context.Context, c client.Client, w Workflow, p Patience, name string, args ...any) (converter.EncodedValue, error) {
	var answer converter.EncodedValue
	err := answered(ctx, c, w, p.orDefault(), false, func(ctx context.Context) (err error) {
		answer, err = c.QueryWorkflow(ctx, w.ID, w.Run, name, args...)
		return err
	})
	return answer, err
}

// Update sends an update and returns once a worker has accepted it. An error is ErrNobody if no worker answers, where none
// listens before anything was sent, and ErrEnded if the workflow has ended.
func Update(ctx context.Context, c client.Client, w Workflow, p Patience, name string, args ...any) (client.WorkflowUpdateHandle, error) {
	var handle client.WorkflowUpdateHandle
	err := answered(ctx, c, w, p.orDefault(), true, func(ctx context.Context) (err error) {
		handle, err = c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID:   w.ID,
			RunID:        w.Run,
			UpdateName:   name,
			Args:         args,
			WaitForStage: client.WorkflowUpdateStageAccepted,
		})
		return err
	})
	return handle, err
}

// answered makes a call that a worker must answer. A workflow that has ended answers queries, but no updates.
func answered(ctx context.Context, c client.Client, w Workflow, p Patience, updates bool, call func(context.Context) error) error {
	d, err := c.DescribeWorkflowExecution(ctx, w.ID, w.Run)
	if err != nil {
		return err
	}
	running := d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	if updates && !running {
		return ErrEnded
	}
	listeners, err := Listening(ctx, c, d.GetExecutionConfig().GetTaskQueue().GetName(), p.Worker)
	if err != nil {
		return err
	}
	if listeners.Count == 0 {
		return fmt.Errorf("%w: %s", ErrNobody, listeners)
	}
	limited, cancel := context.WithTimeout(ctx, p.Answer)
	defer cancel()
	begin := time.Now()
	err = call(limited)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	var overdue *serviceerror.DeadlineExceeded // a limit of the server
	var ended *serviceerror.Canceled           // a limit of the SDK
	timedOut := errors.As(err, &overdue) || errors.As(err, &ended)
	if limited.Err() != nil || timedOut {
		late := ""
		if updates {
			late = "; what was sent may still arrive"
		}
		return fmt.Errorf("%w within %s: %s, and died, was stopped or is busy%s", ErrNobody,
			time.Since(begin).Round(time.Second), listeners, late)
	}
	return err
}

// Listeners are the workers that listen on a task queue for workflows.
type Listeners struct {
	Queue string
	Count int
	Last  time.Duration // since the last of them was heard
}

// String says who listens.
func (l Listeners) String() string {
	if l.Count == 0 {
		return fmt.Sprintf("none listens on task queue %q", l.Queue)
	}
	return fmt.Sprintf("one listened on task queue %q %s ago", l.Queue, l.Last.Round(time.Second))
}

// silence is after how long a worker that polled is taken for dead. A living one polls at least every minute; the server
// lists a dead one for five.
const silence = 2 * time.Minute

// listening returns who listens on a task queue for workflows.
func listening(ctx context.Context, c client.Client, queue string) (Listeners, error) {
	l := Listeners{Queue: queue}
	d, err := c.DescribeTaskQueue(ctx, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return l, fmt.Errorf("ask who listens on task queue %q: %w", queue, err)
	}
	for _, p := range d.GetPollers() {
		age := max(time.Since(p.GetLastAccessTime().AsTime()), 0)
		if age > silence {
			continue
		}
		if l.Count == 0 || age < l.Last {
			l.Last = age
		}
		l.Count++
	}
	return l, nil
}

// Listening returns who listens on a task queue for workflows. It waits for somebody to, but no longer than patience.
func Listening(ctx context.Context, c client.Client, queue string, patience time.Duration) (Listeners, error) {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := listening(ctx, c, queue)
		if err != nil || l.Count > 0 || time.Now().After(deadline) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return l, ctx.Err()
		case <-tick.C:
		}
	}
}
