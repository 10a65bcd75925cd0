package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"trmsweep/internal/queues"
)

// A workflow of a type that no worker of the project knows would wait for ever.
// On another task queue a worker of somebody else may know the type.
func TestStartRefusesUnknownTypes(t *testing.T) {
	const nowhere, refused = "no Temporal server at 127.0.0.1:1", "unknown workflow type"
	cases := map[string]struct {
		code int
		want string
	}{
		"--type Nope":                       {2, refused + ` "Nope" (known: ` + strings.Join(queues.WorkflowTypes, ", ") + ")"},
		"--type allablations":               {2, refused},
		"--type Phase":                      {2, refused},
		"--type Nope --task-queue mine":     {1, nowhere},
		"--type Nope --task-queue trmsweep": {1, nowhere},
		"--workflow_type Nope --tq mine":    {1, nowhere},
	}
	for _, typ := range queues.WorkflowTypes {
		cases["--type "+typ] = struct {
			code int
			want string
		}{1, nowhere}
	}
	for args, c := range cases {
		var out bytes.Buffer
		start := []string{"workflow", "start", "--address", "127.0.0.1:1", "--timeout", "5s"}
		code := execute(t.Context(), append(start, strings.Fields(args)...), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit code %d, want %d; want %q in %s", args, code, c.code, c.want, out.String())
		}
	}
}

// Wrong flags and arguments are reported before tctl connects to a server.
func TestMistypedIsToldFirst(t *testing.T) {
	for args, want := range map[string]string{
		"workflow query x":                                       "tctl workflow query needs --type",
		"workflow signal x":                                      "tctl workflow signal needs --name",
		"workflow update x":                                      "tctl workflow update needs --name",
		"workflow update x --name n -i {":                        "the input is not JSON",
		"workflow signal x --name control":                       `unknown action ""`,
		`workflow signal x --name control -i {"action":"pauze"}`: `unknown action "pauze"`,
		`workflow update x --name control -i {"action":"skip","experiment":["x"]}`: `the nearest known one is "experiments"`,
		"workflow list --limit 0":             "--limit 0: want 1 to 1000",
		"workflow list --limit 5000000000":    "--limit 5000000000: want 1 to 1000",
		"workflow list --timeout -1s":         "--timeout -1s: want more than 0",
		"workflow describe x --timeout 0s":    "--timeout 0s: want more than 0",
		"workflow start --type A --timeout x": "invalid argument",
	} {
		var out bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(args), "--address", "127.0.0.1:1"), &out, &out)
		if code != 2 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s", args, code, out.String())
		}
	}
}

// A signal of another name would be kept by the workflow and ignored.
func TestUnknownSignalsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ queue, signal, want string }{
		"a command":             {queues.Workflows, queues.Control, ""},
		"mistyped":              {queues.Workflows, "contrl", `unknown signal "contrl"; the nearest known one is control`},
		"between workflows":     {queues.Workflows, "standing", `unknown signal "standing" (known: control)`},
		"somebody else's queue": {"mine", "go", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := checkSignal(c.queue, c.signal); err != nil {
				got = err.Error()
			}
			if c.want == "" && got != "" {
				t.Errorf("refused: %s", got)
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// The list tells queued experiments from running ones, and does not repeat what a workflow said before it was terminated.
func TestListSaysHowAWorkflowStands(t *testing.T) {
	for name, c := range map[string]struct {
		status       enumspb.WorkflowExecutionStatus
		said, holdup string
		want         string
	}{
		"queued":              {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "queued", "no-slot", "queued (no-slot)"},
		"running":             {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "running", "", "running"},
		"paused":              {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "paused", "paused", "paused"},
		"incomplete":          {enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, "incomplete", "", "incomplete"},
		"terminated":          {enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, "running", "", ""},
		"timed out":           {enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, "queued", "no-slot", ""},
		"of another's making": {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]*commonpb.Payload{}
			for key, text := range map[string]string{queues.AttrStatus: c.said, queues.AttrHoldup: c.holdup} {
				p, err := converter.GetDefaultDataConverter().ToPayload(text)
				if err != nil {
					t.Fatal(err)
				}
				fields[key] = p
			}
			e := &workflowpb.WorkflowExecutionInfo{Status: c.status, SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields}}
			if got := stands(e); got != c.want {
				t.Errorf("stands %q, want %q", got, c.want)
			}
		})
	}
}

// A workflow that tctl starts has the summary that `trmsweep start` gives it.
func TestSummary(t *testing.T) {
	for input, want := range map[string]string{
		"":                           "TNSweep",
		`{"profile":"smoke"}`:        "TNSweep",
		`{"experiment":"e1"}`:        "e1",
		`["not what a sweep takes"]`: "TNSweep",
	} {
		var args []any
		if input != "" {
			args = []any{json.RawMessage(input)}
		}
		if got := summaryOf("TNSweep", args); got != want {
			t.Errorf("input %s: summary %q, want %q", input, got, want)
		}
	}
}
