package e2e

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	ours "trmsweep/worker"
)

var update = flag.Bool("update", false, "write the histories of these runs to workflows/testdata/histories, for its replay test")

// replayAll replays what the stack has recorded of every closed workflow: a
// worker that took over at any moment would have decided the same. With -update
// the histories named in save (workflow id -> file) are kept.
func replayAll(t *testing.T, s *stack, save map[string]string) {
	t.Helper()
	var list struct {
		Executions []struct {
			Execution struct {
				WorkflowID string `json:"workflowId"`
				RunID      string `json:"runId"`
			} `json:"execution"`
			Status string `json:"status"`
		} `json:"executions"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "tctl", "workflow", "list", "--json", "--limit", "200", "--state", s.State)), &list); err != nil {
		t.Fatal(err)
	}
	replayed := 0
	for _, e := range list.Executions {
		if e.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING.String() || strings.HasSuffix(e.Status, "_RUNNING") {
			continue
		}
		data := []byte(mustRun(t, "tctl", "workflow", "show", "-w", e.Execution.WorkflowID, "-r", e.Execution.RunID, "--json", "--state", s.State))
		h := &historypb.History{}
		if err := protojson.Unmarshal(data, h); err != nil {
			t.Fatal(err)
		}
		r := worker.NewWorkflowReplayer()
		ours.RegisterWorkflows(r)
		err := r.ReplayWorkflowHistoryWithOptions(nil, h, worker.ReplayWorkflowHistoryOptions{
			OriginalExecution: workflow.Execution{ID: e.Execution.WorkflowID, RunID: e.Execution.RunID}})
		if err != nil {
			t.Errorf("replay %s: %v", e.Execution.WorkflowID, err)
		}
		replayed++
		file, ok := save[e.Execution.WorkflowID]
		if !ok || !*update {
			continue
		}
		delete(save, e.Execution.WorkflowID) // the newest run of an id comes first
		if err := os.WriteFile(filepath.Join("..", "workflows", "testdata", "histories", file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if replayed == 0 {
		t.Error("no closed workflow to replay")
	}
}
