package worker

import (
	"context"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

// livingHosts are the workers that live, in the order of their names.
func livingHosts(ctx context.Context, c client.Client, namespace string) ([]study.LivingHost, error) {
	identities, err := Living(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	polling, err := polledLately(ctx, c, namespace, queues.Hosts, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return nil, err
	}
	idle := workersOf(polling)
	var out []study.LivingHost
	for _, name := range workersOf(identities) {
		out = append(out, study.LivingHost{Name: name, Idle: slices.Contains(idle, name)})
	}
	return out, nil
}

// workersOf are the names of the workers with these identities, sorted, each once.
func workersOf(identities []string) []string {
	var names []string
	for _, identity := range identities {
		if name := queues.WorkerOf(identity); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pollersOf are the pollers of all partitions of a queue: each knows only its own.
func pollersOf(
	ctx context.Context, c client.Client, namespace, queue string, kind enumspb.TaskQueueType,
) ([]*taskqueuepb.PollerInfo, error) {
	all, err := c.WorkflowService().ListTaskQueuePartitions(ctx, &workflowservice.ListTaskQueuePartitionsRequest{
		Namespace: namespace,
		TaskQueue: &taskqueuepb.TaskQueue{Name: queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
	})
	if err != nil {
		return nil, fmt.Errorf("list partitions of task queue %s: %w", queue, err)
	}
	partitions := all.ActivityTaskQueuePartitions
	if kind == enumspb.TASK_QUEUE_TYPE_WORKFLOW {
		partitions = all.WorkflowTaskQueuePartitions
	}
	var pollers []*taskqueuepb.PollerInfo
	for _, p := range partitions {
		d, err := c.DescribeTaskQueue(ctx, p.Key, kind)
		if err != nil {
			return nil, fmt.Errorf("describe task queue %s: %w", p.Key, err)
		}
		pollers = append(pollers, d.Pollers...)
	}
	return pollers, nil
}

// CheckPollers says how many hosts live; a task queue that no worker listens on is an error.
func CheckPollers(ctx context.Context, c client.Client, namespace string) (string, error) {
	for _, q := range []struct {
		name string
		kind enumspb.TaskQueueType
	}{
		{queues.Workflows, enumspb.TASK_QUEUE_TYPE_WORKFLOW},
		{queues.Light, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
	} {
		pollers, err := polledLately(ctx, c, namespace, q.name, q.kind)
		if err != nil {
			return "", err
		}
		if len(pollers) == 0 {
			return "", nobodyPolls(q.name)
		}
	}
	hosts, err := Living(ctx, c, namespace)
	if err == nil && len(hosts) == 0 { // a server that was started again has not heard of them yet
		hosts, err = polledLately(ctx, c, namespace, queues.Hosts, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	}
	if err != nil {
		return "", err
	}
	if len(hosts) == 0 {
		return "", nobodyPolls(queues.Hosts)
	}
	return fmt.Sprintf("%d on %s", len(hosts), queues.Hosts), nil
}

func nobodyPolls(queue string) error {
	return fmt.Errorf("no worker polls task queue %s; start one with `trmsweep worker`", queue)
}
