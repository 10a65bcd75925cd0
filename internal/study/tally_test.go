package study_test

import (
	"testing"

	"trmsweep/internal/study"
)

func TestTallyEstimatesTheTimeLeft(t *testing.T) {
	item := func(id string, hours float64) study.Item {
		return study.Item{ID: id, EstimatedHours: hours, TotalSteps: 100}
	}
	s := study.SweepResult{Experiments: []study.ExperimentResult{
		{Item: item("reused", 50), Status: study.StatusDone, Reused: true},
		{Item: item("done", 1), Status: study.StatusDone, Attempts: 1, WallSeconds: 1000,
			Goodput: map[string]float64{"queued": 900, "training": 90, "starting": 10}, Progress: study.Progress{Step: 100}},
		{Item: item("running", 2), Status: study.StatusRunning, Attempts: 1,
			Progress: study.Progress{Step: 50, Goodput: map[string]float64{"training": 90, "starting": 10}}},
		{Item: item("queued", 3), Status: study.StatusQueued},
		{Item: study.Item{ID: "shared", SameAs: "done", EstimatedHours: 9, TotalSteps: 100}, Status: study.StatusQueued},
	}}
	s.Tally()
	if s.Done != 3 || s.Experiments[4].Status != study.StatusDone {
		t.Errorf("%d done, shared run %s; want 3 and done", s.Done, s.Experiments[4].Status)
	}
	if want := 370.0; s.ETASeconds != want { // 90 s per estimated hour, 1 + 3 hours left on one slot, 10 s to start the one that waits
		t.Errorf("time left %g s, want %g", s.ETASeconds, want)
	}
	if !(0 < s.ETALow && s.ETALow < s.ETASeconds && s.ETASeconds < s.ETAHigh) {
		t.Errorf("time left %g to %g s, in the middle %g", s.ETALow, s.ETAHigh, s.ETASeconds)
	}
	s.Experiments[3].Status = study.StatusRunning
	if s.Tally(); s.ETASeconds != 280 { // two slots: the longer one decides
		t.Errorf("time left on two slots %g s, want 280", s.ETASeconds)
	}
}
