package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/localstack"
	"trmsweep/internal/study"
)

// closedWorkflow is a server that knows one workflow, which has ended in err.
type closedWorkflow struct {
	client.Client
	client.WorkflowRun
	err error
}

func (c closedWorkflow) GetWorkflow(context.Context, string, string) client.WorkflowRun { return c }
func (c closedWorkflow) Get(context.Context, any) error                                 { return c.err }

// `run` ends with exit code 0 only where the sweep did what it was told and left a report.
func TestEndOfARun(t *testing.T) {
	three := []study.ExperimentResult{{}, {Item: study.Item{ID: "e9"}, Status: study.StatusFailed, Error: "row 3 is bad"}, {}}
	for _, tc := range []struct {
		name string
		err  error
		st   study.SweepResult
		code int
		want string
	}{
		{"done", nil, study.SweepResult{Status: "done", Done: 3, Reports: []string{"sweeps/s/report.md"}}, exitOK, "report.md"},
		{"without a report", nil, study.SweepResult{Status: "done", Done: 3, Notes: []string{"report: disk is full"}}, exitFailed,
			"without a report"},
		{"experiments failed", nil, study.SweepResult{Status: "done", Done: 2, Failed: 1, Reports: []string{"sweeps/s/report.md"}}, exitFailed,
			"1 of 3 experiments failed; what results there are is in the report\n  e9: row 3 is bad\n"},
		{"stopped by the user", nil, study.SweepResult{Status: "stopped", Done: 1, Reports: []string{"sweeps/s/report.md"}}, exitOK,
			"sweep s was stopped with 1 of 3 experiments done"},
		{"stopped without a report", nil, study.SweepResult{Status: "stopped", Done: 1}, exitFailed, "without a report"},
		{"not to the end", nil, study.SweepResult{Status: "running", Done: 1, Reports: []string{"sweeps/s/report.md"}}, exitFailed,
			`ended as "running" with 1 of 3`},
		{"cancelled", temporal.NewCanceledError(), study.SweepResult{Status: "stopped", Done: 1}, exitFailed,
			"sweep s was cancelled with 1 of 3 experiments done"},
		{"failed", temporal.NewApplicationError("preflight: no disk", "InvalidConfig"), study.SweepResult{Status: "failed"}, exitFailed,
			"sweep s: preflight: no disk\n"},
		{"terminated", errors.New("terminated"), study.SweepResult{Status: "terminated"}, exitFailed, "sweep s: terminated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := t.TempDir()
			t.Setenv("TRMSWEEP_STORE", store)
			t.Setenv("STORAGE_EMULATOR_HOST", "")
			if err := os.MkdirAll(filepath.Join(store, "sweeps", "s"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(store, "sweeps", "s", "report.md"), []byte("# Report\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			a := &app{stdout: &out, stderr: &out, stateDir: t.TempDir()}
			tc.st.Experiments = three
			err := finishSweep(t.Context(), a, closedWorkflow{err: tc.err}, &localstack.Stack{}, "s", tc.st)
			if code := exitCode(err, &out); code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("exit code %d, want %d; want %q in\n%s", code, tc.code, tc.want, out.String())
			}
			for _, note := range tc.st.Notes {
				if !strings.Contains(out.String(), note) {
					t.Errorf("note %q is not told:\n%s", note, out.String())
				}
			}
		})
	}
}
