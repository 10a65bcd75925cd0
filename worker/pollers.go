package worker

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/queues"
)

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
