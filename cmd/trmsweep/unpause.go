package main

import (
	"context"
	"fmt"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"trmsweep/internal/queues"
	"trmsweep/workflows"
)

// unpause lets activities go on that were paused in the activity menu of the Web UI, of which the workflows know nothing. It
// returns the experiments that it freed, out of the named ones or all.
func (s sweepClient) unpause(ctx context.Context, names []string) ([]string, error) {
	d, err := s.DescribeWorkflowExecution(ctx, s.id, "")
	if err != nil {
		return nil, nil // what is wrong with the workflow is told where the command is sent
	}
	experiments := []string{s.id}
	if d.WorkflowExecutionInfo.Type.Name != workflows.ExperimentType {
		running, err := listAll(ctx, s.Client, fmt.Sprintf("%s = '%s' AND WorkflowType = '%s' AND ExecutionStatus = 'Running'",
			queues.AttrSweep, s.id, workflows.ExperimentType))
		if err != nil {
			return nil, fmt.Errorf("list the experiments of %s: %w", s.id, err)
		}
		experiments = nil
		for _, e := range running {
			r := rowFromServer(e)
			named := slices.Contains(names, r.Item.ID) || slices.Contains(names, r.Item.Experiment)
			if len(names) == 0 || named {
				experiments = append(experiments, e.Execution.WorkflowId)
			}
		}
	}
	var freed []string
	for _, id := range experiments {
		any, err := s.unpauseActivities(ctx, id)
		if err != nil {
			return freed, err
		}
		if any {
			freed = append(freed, id)
		}
	}
	return freed, nil
}

// unpauseActivities frees the paused activities of a workflow. It reports whether there were any.
func (s sweepClient) unpauseActivities(ctx context.Context, id string) (bool, error) {
	d, err := s.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return false, fmt.Errorf("describe %s: %w", id, err)
	}
	freed := false
	for _, p := range d.PendingActivities {
		if !p.GetPaused() {
			continue
		}
		_, err := s.WorkflowService().UnpauseActivity(ctx, &workflowservice.UnpauseActivityRequest{
			Namespace: s.namespace,
			Execution: &commonpb.WorkflowExecution{WorkflowId: id},
			Activity:  &workflowservice.UnpauseActivityRequest_Id{Id: p.GetActivityId()},
		})
		if err != nil {
			return freed, fmt.Errorf("unpause activity %s of %s: %w", p.GetActivityId(), id, err)
		}
		freed = true
	}
	return freed, nil
}
