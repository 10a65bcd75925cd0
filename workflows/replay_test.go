package workflows_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"trmsweep/worker"
	"trmsweep/workflows"
)

func replay(h *historypb.History) error {
	r := sdkworker.NewWorkflowReplayer()
	worker.RegisterWorkflows(r)
	id := h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowId()
	return r.ReplayWorkflowHistoryWithOptions(nil, h, sdkworker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id}})
}

func readHistory(t *testing.T, file string) *historypb.History {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &historypb.History{}
	if err := protojson.Unmarshal(data, h); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return h
}

// A worker of this build decides as the one did that recorded these histories of real runs.
// A change that breaks one of them would break sweeps that are running; docs/ARCHITECTURE.md
// ("Changing a workflow") says what to do then. `make histories` records them anew.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{workflows.PhaseType: true}
	for _, name := range workflows.Types {
		missing[name] = true
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			h := readHistory(t, file)
			delete(missing, h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName())
			if err := replay(h); err != nil {
				t.Error(err)
			}
		})
	}
	for name := range missing {
		t.Errorf("no history of %s", name)
	}
}

// The replayer would notice: a history with another step in it does not replay.
func TestReplayNotices(t *testing.T) {
	h := readHistory(t, "testdata/histories/TNSweep.json")
	for _, e := range h.Events {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil && a.ActivityType.Name == "Report" {
			a.ActivityType.Name = "Plan"
		}
	}
	if err := replay(h); err == nil || !strings.Contains(err.Error(), "TMPRL1100") {
		t.Errorf("error %v, want one of non-determinism", err)
	}
}
