package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"trmsweep/internal/protocol"
	"trmsweep/internal/queues"
	"trmsweep/internal/standing"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// serverStatus is what the server itself knows of a sweep or an experiment while no worker answers: the result of one that
// has ended, else the experiments that have begun, by their search attributes and heartbeats.
func serverStatus(ctx context.Context, c client.Client, info *workflowpb.WorkflowExecutionInfo) (study.SweepResult, error) {
	id, single := info.Execution.WorkflowId, info.Type.Name == workflows.ExperimentType
	st := study.SweepResult{Sweep: id, Status: standing.Status(info.Status)}
	switch {
	case info.Status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED && single:
		st.Experiments = make([]study.ExperimentResult, 1)
		err := c.GetWorkflow(ctx, id, info.Execution.RunId).Get(ctx, &st.Experiments[0])
		return st, err
	case info.Status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED && slices.Contains(sweepTypes, info.Type.Name):
		err := c.GetWorkflow(ctx, id, info.Execution.RunId).Get(ctx, &st)
		return st, err
	case single:
		st.Experiments = append(st.Experiments, rowFromServer(info))
	default:
		begun, err := listAll(ctx, c, fmt.Sprintf("%s = '%s' AND WorkflowType = '%s'", queues.AttrSweep, id, workflows.ExperimentType))
		if err != nil {
			return st, fmt.Errorf("list the experiments of %s: %w", id, err)
		}
		seen := map[string]bool{}
		for _, e := range begun { // the newest first: a retried experiment has several
			if w := e.Execution.WorkflowId; !seen[w] {
				seen[w] = true
				st.Experiments = append(st.Experiments, rowFromServer(e))
			}
		}
		slices.SortFunc(st.Experiments, func(a, b study.ExperimentResult) int { return strings.Compare(a.Item.ID, b.Item.ID) })
	}
	if info.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		st.Stage = "no worker answers"
	}
	what := "the sweep"
	if single {
		what = "the experiment"
		st.Experiments[0] = standing.Row(ctx, c, id, st.Experiments[0], time.Time{})
	} else {
		standing.Rows(ctx, c, id, st.Experiments, info.StartTime.AsTime())
	}
	for i := range st.Experiments {
		r := &st.Experiments[i]
		r.Item.TotalSteps = max(r.Item.TotalSteps, r.Progress.Total)
	}
	st.Settle(what, standing.Status(info.Status))
	return st, nil
}

// rowFromServer is an experiment as its search attributes have it.
func rowFromServer(info *workflowpb.WorkflowExecutionInfo) study.ExperimentResult {
	r := study.ExperimentResult{Item: study.Item{ID: path.Base(info.Execution.WorkflowId)}, Status: study.StatusQueued}
	attribute := func(name string, to any) {
		if payload := info.SearchAttributes.GetIndexedFields()[name]; payload != nil {
			_ = converter.GetDefaultDataConverter().FromPayload(payload, to) // one that cannot be read stays unknown
		}
	}
	attribute(queues.AttrPhase, &r.Item.Phase)
	attribute(queues.AttrExperiment, &r.Item.Experiment)
	attribute(queues.AttrStep, &r.Progress.Step)
	attribute(queues.AttrPreemptions, &r.Preemptions)
	var best *float64 // only of a finished run
	if attribute(queues.AttrBest, &best); best != nil {
		r.Outcome = &protocol.Outcome{BestExactAccuracy: *best}
	}
	attribute(queues.AttrHoldup, &r.Holdup.Kind)
	attribute(queues.AttrStatus, &r.Status)
	return r
}

// listAll lists every workflow of a query, the newest first.
func listAll(ctx context.Context, c client.Client, query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
	var all []*workflowpb.WorkflowExecutionInfo
	in := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 1000}
	for {
		page, err := c.ListWorkflow(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Executions...)
		if len(page.NextPageToken) == 0 {
			return all, nil
		}
		in.NextPageToken = page.NextPageToken
	}
}
