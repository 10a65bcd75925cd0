package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	replayed := map[string]bool{}
	eventually(t, "the server to list what has closed", func() error {
		replayClosed(t, s, save, replayed)
		for id := range save {
			if !replayed[id] {
				return fmt.Errorf("%s is not among the closed", id)
			}
		}
		if len(replayed) == 0 {
			return errors.New("nothing has closed")
		}
		return nil
	})
}

func replayClosed(t *testing.T, s *stack, save map[string]string, replayed map[string]bool) {
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
	err := json.Unmarshal([]byte(mustRun(t, "tctl", "workflow", "list", "--json", "--limit", "200", "--state", s.State)), &list)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Executions {
		if strings.HasSuffix(e.Status, "_RUNNING") || replayed[e.Execution.WorkflowID+e.Execution.RunID] {
			continue
		}
		data := []byte(mustRun(t, "tctl", "workflow", "show", "-w", e.Execution.WorkflowID, "-r", e.Execution.RunID, "--json", "--state",
			s.State))
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
		newest := !replayed[e.Execution.WorkflowID] // the newest run of an id comes first
		replayed[e.Execution.WorkflowID], replayed[e.Execution.WorkflowID+e.Execution.RunID] = true, true
		file, ok := save[e.Execution.WorkflowID]
		if !ok || !newest || !*update {
			continue
		}
		if err := os.WriteFile(filepath.Join("..", "workflows", "testdata", "histories", file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
