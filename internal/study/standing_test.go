package study_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// A sweep hears of what it decides by, and of nothing else.
func TestSweepIsToldOnlyWhatItDecidesBy(t *testing.T) {
	running := study.ExperimentResult{Status: study.StatusRunning, Attempts: 1}
	step := func(r study.ExperimentResult, step, evaluated int64) study.ExperimentResult {
		r.Progress.Step = step
		r.Progress.EvalStep = evaluated
		return r
	}
	status := func(s string, attempts int) study.ExperimentResult {
		return study.ExperimentResult{Status: s, Attempts: attempts}
	}
	for name, c := range map[string]struct {
		rows        []study.ExperimentResult
		evaluations bool
		signals     int
	}{
		"it waits":  {[]study.ExperimentResult{status(study.StatusQueued, 1)}, false, 0},
		"it begins": {[]study.ExperimentResult{status(study.StatusQueued, 1), running}, false, 1},
		"steps and evaluations": {[]study.ExperimentResult{running, step(running, 10, 0), step(running, 20, 20), step(running, 40, 40)},
			false, 1},
		"evaluations that decide": {[]study.ExperimentResult{running, step(running, 10, 0), step(running, 20, 20), step(running, 40, 40)},
			true, 3},
		"a preemption": {[]study.ExperimentResult{running, status(study.StatusQueued, 2), status(study.StatusRunning, 2)}, false,
			3},
		"a pause": {[]study.ExperimentResult{running, status(study.StatusPaused, 1), status(study.StatusQueued, 2)}, false,
			3},
		"the end is another's to say": {[]study.ExperimentResult{running, status(study.StatusDone, 1)}, false, 1},
		"one of many preemptions": {[]study.ExperimentResult{status(study.StatusRunning, 30), status(study.StatusQueued, 31),
			status(study.StatusRunning, 31)}, false, 1},
		"the tenth of many": {[]study.ExperimentResult{status(study.StatusRunning, 39), status(study.StatusQueued, 40),
			status(study.StatusRunning, 40)}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			told := study.Told{Status: study.StatusQueued}
			signals := 0
			for _, r := range c.rows {
				if now := r.ToTell(told, c.evaluations); now != told {
					signals++
					told = now
				}
			}
			if signals != c.signals {
				t.Errorf("%d signals, want %d", signals, c.signals)
			}
		})
	}
}

// What is told late, or was told before the row was started again, changes nothing.
func TestStandingSupersedes(t *testing.T) {
	for name, c := range map[string]struct {
		row, told    string
		rowRestarts  int
		toldRestarts int
		want         bool
	}{
		"it begins":                     {study.StatusQueued, study.StatusRunning, 0, 0, true},
		"it ends":                       {study.StatusRunning, study.StatusFailed, 0, 0, true},
		"its begin comes after its end": {study.StatusFailed, study.StatusRunning, 0, 0, false},
		"a better end":                  {study.StatusStopped, study.StatusDone, 0, 0, true},
		"done is done":                  {study.StatusDone, study.StatusStopped, 0, 0, false},
		"the end before a retry":        {study.StatusQueued, study.StatusFailed, 1, 0, false},
		"the begin after a retry":       {study.StatusQueued, study.StatusRunning, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			told := study.Standing{Restarts: c.toldRestarts, Result: study.ExperimentResult{Status: c.told}}
			if got := told.Supersedes(study.ExperimentResult{Status: c.row}, c.rowRestarts); got != c.want {
				t.Errorf("taken in: %v, want %v", got, c.want)
			}
		})
	}
}

// An attempt that has begun and not restored its checkpoint yet does not take the row back to step 0.
func TestTakeKeepsWhatIsKnownOfTheRun(t *testing.T) {
	began := time.Unix(2000, 0)
	r := study.ExperimentResult{
		CommittedStep: 40,
		Progress:      study.Progress{Step: 50, CommittedStep: 40, Loss: 1.5, Goodput: protocol.Goodput{"training": 9}, Host: "old"},
	}
	r.Take(study.Progress{State: protocol.StateStarting, StartedAt: began, Host: "new"})
	want := study.Progress{Step: 40, CommittedStep: 40, Loss: 1.5, State: protocol.StateStarting, StartedAt: began, Host: "new"}
	if diff := cmp.Diff(want, r.Progress); diff != "" {
		t.Errorf("before the restore (-want +got):\n%s", diff)
	}
	restored := study.Progress{Step: 30, CommittedStep: 30, StartedAt: began, Host: "new"} // the last checkpoint was bad
	r.Take(restored)
	if diff := cmp.Diff(restored, r.Progress); diff != "" {
		t.Errorf("after the restore (-want +got):\n%s", diff)
	}
}

// The goodput of a running experiment counts its running attempt, which the row itself books at its end.
func TestDuringCountsTheRunningAttempt(t *testing.T) {
	asked := time.Unix(1000, 0)
	r := study.ExperimentResult{
		Status:   study.StatusRunning,
		Progress: study.Progress{Step: 10, StartedAt: asked.Add(20 * time.Second), Goodput: protocol.Goodput{"compiling": 20, "training": 60}},
	}
	now := r.During(asked, asked.Add(100*time.Second))
	if got := now.GoodputShare(); got != 0.75 {
		t.Errorf("goodput %g after 60 s of training in 80 s of a slot", got)
	}
	if len(r.Goodput) != 0 || r.WallSeconds != 0 {
		t.Errorf("the row itself has %v of %g s", r.Goodput, r.WallSeconds)
	}
}
