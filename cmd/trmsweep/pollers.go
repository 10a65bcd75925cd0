package main

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"

	"trmsweep/internal/queues"
)

// checkPollers says whether workers listen on every task queue.
func checkPollers(ctx context.Context, a *app) (string, error) {
	c, err := dial(ctx, a)
	if err != nil {
		return "", err
	}
	defer c.Close()
	hosts := 0
	for _, q := range []struct {
		name string
		kind enumspb.TaskQueueType
	}{{queues.Workflows, enumspb.TASK_QUEUE_TYPE_WORKFLOW}, {queues.Light, enumspb.TASK_QUEUE_TYPE_ACTIVITY}, {queues.Hosts, enumspb.TASK_QUEUE_TYPE_ACTIVITY}} {
		d, err := c.DescribeTaskQueue(ctx, q.name, q.kind)
		if err != nil {
			return "", fmt.Errorf("describe task queue %s: %w", q.name, err)
		}
		if len(d.Pollers) == 0 {
			return "", fmt.Errorf("no worker polls task queue %s; start one with `trmsweep worker`", q.name)
		}
		hosts = len(d.Pollers)
	}
	return fmt.Sprintf("%d pollers on %s", hosts, queues.Hosts), nil
}
