package main

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"trmsweep/workflows"
)

// pausedServer has the sweep "s" with two experiments, both paused in the Web UI.
type pausedServer struct {
	client.Client
	freed []string
}

// pausedService is its service.
type pausedService struct {
	workflowservice.WorkflowServiceClient
	server *pausedServer
}

func (s *pausedServer) info(id string) *workflowpb.WorkflowExecutionInfo {
	kind := workflows.ExperimentType
	if id == "s" {
		kind = workflows.TNSweepType
	}
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id},
		Type:      &commonpb.WorkflowType{Name: kind},
	}
}

func (s *pausedServer) WorkflowService() workflowservice.WorkflowServiceClient {
	return pausedService{server: s}
}

func (s *pausedServer) DescribeWorkflowExecution(
	_ context.Context, id, _ string,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: s.info(id),
		PendingActivities:     []*workflowpb.PendingActivityInfo{{ActivityId: "6", Paused: id != "s"}, {ActivityId: "7"}},
	}, nil
}

func (s *pausedServer) ListWorkflow(
	context.Context, *workflowservice.ListWorkflowExecutionsRequest,
) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{
		Executions: []*workflowpb.WorkflowExecutionInfo{s.info("s/ablations/a"), s.info("s/ablations/b")},
	}, nil
}

func (s pausedService) UnpauseActivity(
	_ context.Context, in *workflowservice.UnpauseActivityRequest, _ ...grpc.CallOption,
) (*workflowservice.UnpauseActivityResponse, error) {
	s.server.freed = append(s.server.freed, in.Namespace+" "+in.Execution.WorkflowId+" "+in.GetId())
	return &workflowservice.UnpauseActivityResponse{}, nil
}

// What was paused in the Web UI is freed there; the workflows cannot.
func TestResumeFreesWhatTheWebUIPaused(t *testing.T) {
	for _, c := range []struct {
		name  string
		id    string
		names []string
		want  []string
	}{
		{"a whole sweep", "s", nil, []string{"n s/ablations/a 6", "n s/ablations/b 6"}},
		{"one of a sweep", "s", []string{"b"}, []string{"n s/ablations/b 6"}},
		{"none of a sweep", "s", []string{"c"}, nil},
		{"a single experiment", "one", nil, []string{"n one 6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := &pausedServer{}
			freed, err := sweepClient{server, "n", c.id}.unpause(t.Context(), c.names)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, server.freed); d != "" || len(freed) != len(c.want) {
				t.Errorf("freed %v:\n%s", freed, d)
			}
		})
	}
}
