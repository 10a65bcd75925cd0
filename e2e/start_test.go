package e2e

import (
	"fmt"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/queues"
)

// A workflow id that runs is not started again, and never taken for another sweep's.
func TestStartOfAnIDThatRuns(t *testing.T) {
	s := startStack(t, t.TempDir())
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"start TNSweep --id one", 0, "TNSweep is running as one"},
		{"start TNSweep --id one", 0, "TNSweep runs already, with what it was started with, as one"},
		{"start TNSweep --id one --json", 0, `"already_running":true`},
		{"start TNSweep --id one --profile smoke", 2, `one runs already, and otherwise: profile is the default, not "smoke"`},
		{"start AllAblations --id one", 2, "one is the id of a TNSweep that runs; choose another with --id"},
		{"start AllAblations --id two --json", 0, `"type":"AllAblations"}`},
		{"cancel nosuch", 1, "no sweep of this id is running"},
	} {
		r := run(t, "trmsweep", append(strings.Fields(c.args), "--state", s.State)...)
		if out := r.stdout + r.stderr; r.code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, want %d; want %q in\n%s", c.args, r.code, c.code, c.want, out)
		}
	}
}

// What clients send where a user gives no input differs: nothing, an empty list of
// payloads (the Web UI), null in two encodings, an empty object. All start the study.
func TestEveryClientStartsTheSame(t *testing.T) {
	s := startStack(t, t.TempDir())
	startWorker(t, s)
	c, err := client.Dial(client.Options{HostPort: s.Temporal})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	payload := func(encoding, data string) *commonpb.Payloads {
		return &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte(encoding)}, Data: []byte(data)}}}
	}
	ids := []string{}
	for name, input := range map[string]*commonpb.Payloads{
		"nothing": nil, "empty-list": {}, "null": payload("json/plain", "null"), "nil": payload("binary/null", ""),
		"object": payload("json/plain", "{}"),
	} {
		_, err := c.WorkflowService().StartWorkflowExecution(t.Context(),
			&workflowservice.StartWorkflowExecutionRequest{Namespace: "default", WorkflowId: name, RequestId: name,
				WorkflowType: &commonpb.WorkflowType{Name: "AllAblations"}, TaskQueue: &taskqueuepb.TaskQueue{Name: queues.Workflows}, Input: input})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids = append(ids, name)
	}
	mustRun(t, "tctl", "workflow", "start", "--state", s.State, "--type", "AllAblations", "-w", "tctl")
	var first string
	for _, id := range append(ids, "tctl") {
		v := await(t, s, id, "the plan of "+id, func(v sweepView) bool { return len(v.Experiments) > 0 })
		plan := v.Profile
		for _, r := range v.Experiments {
			plan += fmt.Sprint(" ", r.Item)
		}
		if first == "" {
			first = plan
		}
		if len(v.Experiments) != 18 || plan != first {
			t.Errorf("%s starts %s\nthe first %s", id, plan, first)
		}
		mustRun(t, "tctl", "workflow", "terminate", "--state", s.State, id)
	}
}
