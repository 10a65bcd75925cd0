package workflows_test

import (
	"path/filepath"
	"slices"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"trmsweep/internal/queues"
	"trmsweep/workflows"
)

// What the server knows of real runs, which the test environment does not keep:
// summaries, fairness, memos and search attributes.
func TestHistoriesAreVisible(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			h := readHistory(t, file)
			start := h.Events[0].GetWorkflowExecutionStartedEventAttributes()
			root := start.GetRootWorkflowExecution().GetWorkflowId()
			if root == "" {
				root = start.GetWorkflowId()
			}
			memo, attrs := start.GetMemo().GetFields(), map[string]bool{}
			planned := false
			for _, e := range h.Events {
				if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
					if text(t, e.GetUserMetadata().GetSummary()) == "" {
						t.Errorf("activity %s has no summary", a.ActivityType.Name)
					}
					if got := a.GetPriority().GetFairnessKey(); got != root {
						t.Errorf("activity %s has fairness key %q, want %q", a.ActivityType.Name, got, root)
					}
					if hosts := a.TaskQueue.Name == queues.Hosts; hosts && a.GetPriority().GetPriorityKey() == 0 {
						t.Errorf("activity %s has no priority", a.ActivityType.Name)
					}
				}
				if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil && text(t, e.GetUserMetadata().GetSummary()) == "" {
					t.Errorf("child %s has no summary", a.WorkflowId)
				}
				if a := e.GetWorkflowPropertiesModifiedEventAttributes(); a != nil {
					if memo == nil {
						memo = map[string]*commonpb.Payload{}
					}
					for k, v := range a.GetUpsertedMemo().GetFields() {
						memo[k] = v
					}
				}
				for k := range e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields() {
					attrs[k] = true
				}
				planned = planned || e.GetActivityTaskCompletedEventAttributes() != nil
			}
			if !planned { // its input was refused
				return
			}
			var wantMemo, wantAttrs []string
			switch start.WorkflowType.Name {
			case workflows.ExperimentType:
				wantMemo = []string{"spec_hash", "run", "code"}
				wantAttrs = []string{queues.AttrSweep, queues.AttrPhase, queues.AttrExperiment, queues.AttrStatus, queues.AttrStep,
					queues.AttrPreemptions, queues.AttrGoodput}
			case workflows.PhaseType:
				wantAttrs = []string{queues.AttrSweep, queues.AttrPhase, queues.AttrStatus}
			case workflows.AllAblationsType, workflows.TNSweepType, workflows.BatchSweepType:
				wantMemo = []string{"code", "profile"}
				wantAttrs = []string{queues.AttrSweep, queues.AttrStatus, queues.AttrStep, queues.AttrPreemptions, queues.AttrGoodput}
			}
			for _, k := range wantMemo {
				if text(t, memo[k]) == "" {
					t.Errorf("the memo has no %s", k)
				}
			}
			for _, k := range wantAttrs {
				if !attrs[k] {
					t.Errorf("search attribute %s was never set", k)
				}
			}
		})
	}
}

func text(t *testing.T, p *commonpb.Payload) string {
	t.Helper()
	var s string
	if p == nil {
		return s
	}
	if err := converter.GetDefaultDataConverter().FromPayload(p, &s); err != nil {
		t.Error(err)
	}
	return s
}

// Every type has a history of a run that went well.
func TestHistoriesCover(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string][]enums.EventType{}
	for _, file := range files {
		h := readHistory(t, file)
		name := h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
		seen[name] = append(seen[name], h.Events[len(h.Events)-1].GetEventType())
	}
	for _, name := range append(slices.Clone(workflows.Types), workflows.PhaseType) {
		if !slices.Contains(seen[name], enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
			t.Errorf("no completed history of %s: %v", name, seen[name])
		}
	}
}
