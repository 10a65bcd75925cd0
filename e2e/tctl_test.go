package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTctlOnAStack(t *testing.T) {
	state := t.TempDir()
	s := startStack(t, state)
	input := filepath.Join(t.TempDir(), "in.json")
	if err := os.WriteFile(input, []byte(`{"profile":"smoke"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args string
		code int
		want string // in the output
	}{
		{"as users type it", "workflow start --type AllAblations", 0, "TaskQueue  trmsweep"},
		{"nobody listens", "workflow start --type AllAblations", 0, `no worker listens on task queue "trmsweep"`},
		{"page in the Web UI", "workflow start --type AllAblations", 0, s.UI + "/namespaces/default/workflows/AllAblations-"},
		{"old spellings", "workflow start --workflow_type Experiment --tq other --workflow_id old", 0, "WorkflowId old"},
		{"short flags", "wf start --type Experiment -t other -w short -i {}", 0, "TaskQueue  other"},
		{"input from a file", "workflow start --type Experiment -w filed --input-file " + input, 0, "WorkflowId filed"},
		{"an id that runs", "workflow start --type Experiment -w filed", 0, "WorkflowId filed"},
		{"list", "workflow list", 0, "AllAblations"},
		{"list by type", "workflow list --query WorkflowType='Experiment'", 0, "short"},
		{"describe", "workflow describe -w old", 0, `"name": "other"`},
		{"show", "workflow show -w old", 0, "WorkflowExecutionStarted"},
		{"show as JSON", "workflow show -w old --json", 0, "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"},
		{"signal", "workflow signal -w old --name go -i 1", 0, "Signalled old"},
		{"a signal that nobody reads", "workflow signal -w filed --name contrl", 2, "the nearest known one is control"},
		{"cancel", "workflow cancel -w old", 0, "Asked old to stop"},
		{"terminate", "workflow terminate -w old", 0, "Terminated old"},
		{"unknown id", "workflow describe -w nowhere", 1, `no workflow "nowhere"`},
		{"query without a worker", "workflow query -w filed --type progress --timeout 2s", 1, "query filed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append(strings.Fields(tc.args), "--state", state)
			eventually(t, tc.name, func() error {
				r := run(t, "tctl", args...)
				if out := r.stdout + r.stderr; r.code != tc.code || !strings.Contains(out, tc.want) {
					if strings.HasPrefix(tc.args, "workflow list") && r.code == 0 {
						return errMissing(tc.want) // the list is eventually consistent
					}
					t.Fatalf("exit code %d, want %d; want %q in\n%s", r.code, tc.code, tc.want, out)
				}
				return nil
			})
		})
	}
}

type errMissing string

func (e errMissing) Error() string { return "no " + string(e) + " in the output" }

func TestTctlErrors(t *testing.T) {
	empty := t.TempDir()
	for _, tc := range []struct {
		name string
		args string
		code int
		want string
	}{
		{"server down", "workflow list --address 127.0.0.1:1", 1, "no Temporal server at 127.0.0.1:1"},
		{"no type", "workflow start", 2, "needs --type"},
		{"unknown type", "workflow start --type AllAblation", 2, `"AllAblation"; the nearest known one is AllAblations (known: AllAbl`},
		{"unknown command", "workflow begin", 2, `unknown command "begin"`},
		{"unknown flag", "workflow start --typo x", 2, "unknown flag"},
		{"unexpected argument", "workflow start --type A B", 2, `unexpected argument "B"`},
		{"input is not JSON", "workflow start --type A -i {", 2, "not JSON"},
		{"two inputs", "workflow start --type A -i {} --input-file x", 2, "give one of them"},
		{"no such input file", "workflow start --type A --input-file /nowhere/x", 2, "/nowhere/x"},
		{"no workflow id", "workflow describe", 2, "needs --workflow-id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, "tctl", append(strings.Fields(tc.args), "--state", empty)...)
			if r.code != tc.code || !strings.Contains(r.stderr, tc.want) {
				t.Fatalf("exit code %d, want %d; want %q in\n%s", r.code, tc.code, tc.want, r.stderr)
			}
		})
	}
}
