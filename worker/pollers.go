package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// pollEvery is the longest time between two polls of a worker that has nothing else to do: the server
// lets a poll wait for a minute.
const pollEvery = 90 * time.Second

// livingHosts are the workers that have lately asked for light work, which every worker does also while it trains,
// in the order of their names. The server remembers pollers for minutes after their end.
func livingHosts(ctx context.Context, c client.Client, namespace string) ([]study.LivingHost, error) {
	living, err := lately(ctx, c, namespace, queues.Light)
	if err != nil {
		return nil, err
	}
	idle, err := lately(ctx, c, namespace, queues.Hosts)
	if err != nil {
		return nil, err
	}
	var out []study.LivingHost
	for _, name := range living {
		out = append(out, study.LivingHost{Name: name, Idle: slices.Contains(idle, name)})
	}
	return out, nil
}

// lately are the names of the workers that have polled a queue of activities within pollEvery of the
// newest poll, sorted. The clock is the server's.
func lately(ctx context.Context, c client.Client, namespace, queue string) ([]string, error) {
	pollers, err := pollersOf(ctx, c, namespace, queue)
	if err != nil {
		return nil, err
	}
	var newest time.Time
	for _, p := range pollers {
		if at := p.LastAccessTime.AsTime(); at.After(newest) {
			newest = at
		}
	}
	var names []string
	for _, p := range pollers {
		name := queues.WorkerOf(p.Identity)
		if name != "" && newest.Sub(p.LastAccessTime.AsTime()) < pollEvery {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// pollersOf are the pollers of all partitions of a queue of activities: each knows only its own.
func pollersOf(ctx context.Context, c client.Client, namespace, queue string) ([]*taskqueuepb.PollerInfo, error) {
	partitions, err := c.WorkflowService().ListTaskQueuePartitions(ctx, &workflowservice.ListTaskQueuePartitionsRequest{
		Namespace: namespace,
		TaskQueue: &taskqueuepb.TaskQueue{Name: queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
	})
	if err != nil {
		return nil, fmt.Errorf("list partitions of task queue %s: %w", queue, err)
	}
	var all []*taskqueuepb.PollerInfo
	for _, p := range partitions.ActivityTaskQueuePartitions {
		d, err := c.DescribeTaskQueue(ctx, p.Key, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		if err != nil {
			return nil, fmt.Errorf("describe task queue %s: %w", p.Key, err)
		}
		all = append(all, d.Pollers...)
	}
	return all, nil
}

// CheckPollers says who listens; a task queue that no worker listens on is an error.
func CheckPollers(ctx context.Context, c client.Client) (string, error) {
	hosts := 0
	for _, q := range []struct {
		name string
		kind enumspb.TaskQueueType
	}{
		{queues.Workflows, enumspb.TASK_QUEUE_TYPE_WORKFLOW},
		{queues.Light, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
		{queues.Hosts, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
	} {
		d, err := c.DescribeTaskQueue(ctx, q.name, q.kind)
		if err != nil {
			return "", fmt.Errorf("describe task queue %s: %w", q.name, err)
		}
		if len(d.Pollers) == 0 {
			return "", fmt.Errorf("no worker polls task queue %s; start one with `trmsweep worker`", q.name)
		}
		hosts = len(d.Pollers)
	}
	return fmt.Sprintf("%d on %s", hosts, queues.Hosts), nil
}
