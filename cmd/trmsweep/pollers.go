package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"trmsweep/worker"
)

// checkServer says which server answers and who listens on it.
func checkServer(ctx context.Context, a *app) (string, error) {
	c, e, err := worker.Dial(ctx, a.server(), "", quietLogger(), 3*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	info, err := c.WorkflowService().GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return "", fmt.Errorf("ask the server for its version: %w", err)
	}
	pollers, err := worker.CheckPollers(ctx, c, e.Namespace)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Temporal %s, workers: %s", info.GetServerVersion(), pollers), nil
}
