package main

import (
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"trmsweep/internal/queues"
)

// What the server alone knows of a run's best accuracy is that of a finished one, over all puzzles.
func TestRowFromServerShowsTheBestAccuracyOfFinishedRuns(t *testing.T) {
	payload, err := converter.GetDefaultDataConverter().ToPayload(0.1953125)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		fields map[string]*commonpb.Payload
		want   string
	}{
		{"finished", map[string]*commonpb.Payload{queues.AttrBest: payload}, "19.53%"},
		{"training", nil, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rowFromServer(&workflowpb.WorkflowExecutionInfo{
				Execution:        &commonpb.WorkflowExecution{WorkflowId: "night/ablations/e2_2_t2_n2"},
				SearchAttributes: &commonpb.SearchAttributes{IndexedFields: c.fields},
			})
			if got := r.BestText(); got != c.want {
				t.Errorf("best exact accuracy %q, want %q", got, c.want)
			}
		})
	}
}
