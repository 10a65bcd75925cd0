package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/queues"
)

const (
	// heartbeatEvery is how often a worker tells the server that it lives. One that ends says so, one that dies does not.
	heartbeatEvery = 10 * time.Second
	// silentFor is how long a living worker may be silent.
	silentFor = 30 * time.Second
	// pollEvery is the longest time between two polls of a worker: the server lets a poll wait for a minute.
	pollEvery = 75 * time.Second
)

// withHeartbeats makes the workers of a client tell the server that they live.
func withHeartbeats(o *client.Options) { o.WorkerHeartbeatInterval = heartbeatEvery }

// Living are the workers that train and live, by their identities in order. A server that takes no heartbeats
// of workers is asked for polls for light work, which a worker that trains makes too; it remembers those of a
// worker for minutes after its end.
func Living(ctx context.Context, c client.Client, namespace string) ([]string, error) {
	d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("describe namespace %s: %w", namespace, err)
	}
	if !d.GetNamespaceInfo().GetCapabilities().GetWorkerHeartbeats() {
		return polledLately(ctx, c, namespace, queues.Light, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	}
	since := time.Now().Add(-silentFor).UTC().Format(time.RFC3339)
	return listWorkers(ctx, c, namespace, fmt.Sprintf("TaskQueue = '%s' AND HeartbeatTime > '%s'", queues.Hosts, since))
}

// listWorkers are the identities of the workers that a query of the server finds, each once.
func listWorkers(ctx context.Context, c client.Client, namespace, query string) ([]string, error) {
	var names []string
	request := &workflowservice.ListWorkersRequest{Namespace: namespace, Query: query, PageSize: 1000}
	for {
		page, err := c.WorkflowService().ListWorkers(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list workers: %w", err)
		}
		for _, w := range page.Workers {
			names = append(names, w.WorkerIdentity)
		}
		if request.NextPageToken = page.NextPageToken; len(request.NextPageToken) == 0 {
			break
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// polledLately are the identities of the workers that have polled a queue within pollEvery, each once.
func polledLately(ctx context.Context, c client.Client, namespace, queue string, kind enumspb.TaskQueueType) ([]string, error) {
	pollers, err := pollersOf(ctx, c, namespace, queue, kind)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range pollers {
		if time.Since(p.LastAccessTime.AsTime()) < pollEvery {
			names = append(names, p.Identity)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
