package standing

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/study"
)

// Every error that a parent or a client gets of an ended experiment says how it ended, with the row that it carries.
func TestEndOf(t *testing.T) {
	row := study.ExperimentResult{Status: study.StatusStopped, CommittedStep: 7}
	for name, c := range map[string]struct {
		err  error
		want study.End
	}{
		"completed": {nil, study.End{How: study.ServerCompleted, Result: &row}},
		"failed": {
			temporal.NewApplicationError("loss is NaN", "Final", row),
			study.End{How: study.ServerFailed, Message: "loss is NaN", Result: &row},
		},
		"failed without a row": {
			temporal.NewApplicationError("no input", "Config"),
			study.End{How: study.ServerFailed, Message: "no input"},
		},
		"cancelled":                     {temporal.NewCanceledError(row), study.End{How: study.ServerCancelled, Result: &row}},
		"cancelled in its first moment": {temporal.NewCanceledError(), study.End{How: study.ServerCancelled}},
		"terminated":                    {&temporal.TerminatedError{}, study.End{How: study.ServerTerminated}},
		"timed out": {
			temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil),
			study.End{How: study.ServerTimedOut},
		},
		"not startable": {errors.New("already started"), study.End{How: study.ServerFailed, Message: "already started"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.err
			if err != nil {
				err = fmt.Errorf("child workflow: %w", err)
				if name == "not startable" {
					err = c.err
				}
			}
			if diff := cmp.Diff(c.want, EndOf(&row, err)); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the server says, there is a word for it; a paused workflow or one that it does not name runs.
func TestStatusOfEveryExecution(t *testing.T) {
	want := map[enumspb.WorkflowExecutionStatus]string{
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:  "completed",
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:     "failed",
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:   "cancelled",
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:  "timed out",
	}
	for number := range enumspb.WorkflowExecutionStatus_name {
		s := enumspb.WorkflowExecutionStatus(number)
		expected := want[s]
		if expected == "" {
			expected = "running"
		}
		if got := Status(s); got != expected {
			t.Errorf("%s is %q, want %q", s, got, expected)
		}
	}
}
