package study_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/study"
)

// All ends of an experiment's workflow, and what its row says then. What ended without a word of its own keeps what was
// known of it; nothing that has ended has a time left.
func TestEveryEndOfAnExperiment(t *testing.T) {
	known := study.ExperimentResult{
		Item:          study.Item{ID: "e1"},
		Status:        study.StatusRunning,
		CommittedStep: 40,
		Progress:      study.Progress{Step: 50, ETASeconds: 60, StepsPerSecond: 2},
	}
	said := func(status, why string) *study.ExperimentResult {
		return &study.ExperimentResult{Status: status, Error: why, CommittedStep: 55, Progress: study.Progress{Step: 55}}
	}
	type row struct {
		Status, Error, Reason string
		Interrupted           bool
		Committed             int64
	}
	for name, c := range map[string]struct {
		end  study.End
		want row
	}{
		"completed": {
			study.End{How: study.ServerCompleted, Result: said(study.StatusDone, "")},
			row{Status: "done", Committed: 55},
		},
		"completed after a command": {
			study.End{How: study.ServerCompleted, Result: said(study.StatusSkipped, "")},
			row{Status: "skipped", Committed: 55},
		},
		"failed": {
			study.End{How: study.ServerFailed, Message: "loss is NaN", Result: said(study.StatusFailed, "loss is NaN")},
			row{Status: "failed", Error: "loss is NaN", Committed: 55},
		},
		"failed without a word": {
			study.End{How: study.ServerFailed, Message: "already started"},
			row{Status: "failed", Error: "already started", Committed: 40},
		},
		"cancelled": {
			study.End{How: study.ServerCancelled, Result: said(study.StatusStopped, "")},
			row{Status: "stopped", Reason: "the experiment was cancelled", Interrupted: true, Committed: 55},
		},
		"terminated": {
			study.End{How: study.ServerTerminated},
			row{Status: "stopped", Reason: "the experiment was terminated", Interrupted: true, Committed: 40},
		},
		"timed out": {
			study.End{How: study.ServerTimedOut},
			row{Status: "failed", Error: "the experiment timed out", Committed: 40},
		},
		"waited for in vain": {
			study.End{How: study.ServerRunning},
			row{Status: "stopped", Reason: "the experiment does not end", Interrupted: true, Committed: 40},
		},
		"never began": {
			study.End{},
			row{Status: "stopped", Interrupted: true, Committed: 40},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := known.After(c.end)
			got := row{r.Status, r.Error, r.Reason, r.Interrupted, r.CommittedStep}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			if r.Item.ID != "e1" || r.Progress.ETASeconds != 0 {
				t.Errorf("row of %q with %g s left", r.Item.ID, r.Progress.ETASeconds)
			}
		})
	}
}

// The reason of a row that was only asked to end is that of whoever asked, and stays if it had one of its own.
func TestBecause(t *testing.T) {
	for name, c := range map[string]struct {
		end  study.End
		want string
	}{
		"asked to end":     {study.End{How: study.ServerCancelled}, "the phase was terminated"},
		"never began":      {study.End{}, "the phase was terminated"},
		"terminated too":   {study.End{How: study.ServerTerminated}, "the experiment was terminated"},
		"ended by itself":  {study.End{How: study.ServerCompleted, Result: &study.ExperimentResult{Status: study.StatusDone}}, ""},
		"failed by itself": {study.End{How: study.ServerFailed, Message: "loss is NaN"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r study.ExperimentResult
			r = r.After(c.end)
			r.Because("the phase was terminated")
			if r.Reason != c.want {
				t.Errorf("reason %q, want %q", r.Reason, c.want)
			}
		})
	}
}

// A sweep is done if everything is trained that should have been.
func TestStatusOfASweepAtItsEnd(t *testing.T) {
	row := func(status string, interrupted bool) study.ExperimentResult {
		return study.ExperimentResult{Status: status, Interrupted: interrupted}
	}
	for name, c := range map[string]struct {
		last study.ExperimentResult
		want string
	}{
		"all done":             {row(study.StatusDone, false), study.StatusDone},
		"skipped by a user":    {row(study.StatusSkipped, false), study.StatusDone},
		"stopped by a rule":    {row(study.StatusStopped, false), study.StatusDone},
		"stopped from outside": {row(study.StatusStopped, true), study.StatusIncomplete},
		"failed":               {row(study.StatusFailed, false), study.StatusIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			s := study.SweepResult{Experiments: []study.ExperimentResult{row(study.StatusDone, false), c.last}}
			if got := s.Ended(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// All ends of a sweep's workflow: what a sweep said last is what a client shows only as far as the server agrees.
func TestSettleSaysWhatTheServerSays(t *testing.T) {
	type shown struct {
		Status, Stage string
		Left          bool
		Rows          []string
	}
	for name, c := range map[string]struct {
		how, said string
		want      shown
	}{
		"running": {study.ServerRunning, study.StatusRunning,
			shown{"running", "training", true, []string{"done ", "running ", "queued "}}},
		"completed": {study.ServerCompleted, study.StatusIncomplete,
			shown{"incomplete", "", false, []string{"done ", "running ", "queued "}}}, // rows of a completed sweep have ended
		"failed": {study.ServerFailed, study.StatusFailed,
			shown{"failed", "", false, []string{"done ", "running ", "stopped the sweep failed"}}},
		"cancelled": {study.ServerCancelled, study.StatusStopped,
			shown{"stopped", "", false, []string{"done ", "running ", "stopped the sweep was cancelled"}}},
		"terminated": {study.ServerTerminated, study.StatusRunning,
			shown{"terminated", "", false, []string{"done ", "running ", "stopped the sweep was terminated"}}},
		"timed out": {study.ServerTimedOut, study.StatusRunning,
			shown{"timed out", "", false, []string{"done ", "running ", "stopped the sweep timed out"}}},
	} {
		t.Run(name, func(t *testing.T) {
			running := training(study.StatusRunning, 100, 50)
			s := study.SweepResult{Status: c.said, Stage: "training", Experiments: []study.ExperimentResult{
				training(study.StatusDone, 100, 100), running, training(study.StatusQueued, 100, 0)}}
			s.Settle("the sweep", c.how)
			got := shown{Status: s.Status, Stage: s.Stage, Left: s.TimeLeft() != ""}
			for _, r := range s.Experiments {
				got.Rows = append(got.Rows, r.Status+" "+r.Reason)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
}

// training is a row whose experiment has trained some steps, a second each.
func training(status string, total, step int64) study.ExperimentResult {
	return study.ExperimentResult{
		Item:     study.Item{ID: status, TotalSteps: total, EstimatedHours: 1},
		Status:   status,
		Attempts: 1,
		Progress: study.Progress{Step: step, Total: total, Goodput: map[string]float64{"training": float64(step)}},
	}
}
