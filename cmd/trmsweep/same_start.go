package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"trmsweep/internal/hint"
)

// sameStart is an error if the workflow that runs under an id is of another type, or has not got what it would be started
// with now.
func sameStart(ctx context.Context, c client.Client, id, kind string, input any) error {
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return fmt.Errorf("describe %s: %w", id, err)
	}
	info := d.WorkflowExecutionInfo
	if info.Type.Name != kind {
		return usagef("%s is the id of a %s that runs; choose another with --id", id, info.Type.Name)
	}
	begun := info.GetFirstRunId() // before any continue-as-new
	if begun == "" {
		begun = info.Execution.RunId
	}
	before, err := startOf(ctx, c, id, begun)
	if err != nil {
		return err
	}
	differences, err := differences(input, before.input)
	if err != nil || len(differences) == 0 {
		return err
	}
	return usagef("%s runs already, and otherwise: %s; choose another --id, or end it first with `trmsweep cancel %s`", id,
		strings.Join(differences, "; "), hint.Word(id))
}

// started is how a workflow was started: its type and its input, null if it had none.
type started struct {
	kind  string
	input json.RawMessage
}

// startOf reads the start of a run of a workflow from its history; an empty run is the newest.
func startOf(ctx context.Context, c client.Client, id, run string) (started, error) {
	it := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !it.HasNext() {
		return started{}, fmt.Errorf("read what %s was started with: its history is empty", id)
	}
	first, err := it.Next()
	if err != nil {
		return started{}, fmt.Errorf("read what %s was started with: %w", id, err)
	}
	event := first.GetWorkflowExecutionStartedEventAttributes()
	s := started{kind: event.GetWorkflowType().GetName(), input: json.RawMessage("null")}
	if payloads := event.GetInput(); len(payloads.GetPayloads()) > 0 {
		err = converter.GetDefaultDataConverter().FromPayloads(payloads, &s.input)
	}
	if err != nil {
		return started{}, fmt.Errorf("read what %s was started with: %w", id, err)
	}
	return s, nil
}

// differences are the fields of an input that another one has otherwise or lacks. What was not given (absent, as all fields
// are omitted when they are empty) is no difference.
func differences(given any, has json.RawMessage) ([]string, error) {
	data, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	var want, got map[string]any
	if err := json.Unmarshal(data, &want); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(has, &got); err != nil {
		return nil, fmt.Errorf("read the input of a running workflow: %w", err)
	}
	var out []string
	for name, value := range want {
		if reflect.DeepEqual(value, got[name]) {
			continue
		}
		text := func(v any) string {
			b, _ := json.Marshal(v) // it was JSON
			return string(b)
		}
		it := "the default"
		if v, ok := got[name]; ok {
			it = text(v)
		}
		out = append(out, fmt.Sprintf("%s is %s, not %s", name, it, text(value)))
	}
	slices.Sort(out)
	return out, nil
}
