package workflows_test

import (
	"testing"

	"trmsweep/activities"
	"trmsweep/workflows"
)

func TestTallyEstimatesTheTimeLeft(t *testing.T) {
	item := func(id string, hours float64) activities.Item {
		return activities.Item{ID: id, EstimatedHours: hours, TotalSteps: 100}
	}
	s := workflows.SweepResult{Experiments: []workflows.ExperimentResult{
		{Item: item("reused", 50), Status: workflows.StatusDone, Reused: true},
		{Item: item("done", 1), Status: workflows.StatusDone, Attempts: 1, WallSeconds: 1000, Goodput: map[string]float64{"queued": 900, "training": 90, "starting": 10}, Progress: activities.Progress{Step: 100}},
		{Item: item("running", 2), Status: workflows.StatusRunning, Attempts: 1, Progress: activities.Progress{Step: 50, Goodput: map[string]float64{"training": 90, "starting": 10}}},
		{Item: item("queued", 3), Status: workflows.StatusQueued},
		{Item: activities.Item{ID: "shared", SameAs: "done", EstimatedHours: 9, TotalSteps: 100}, Status: workflows.StatusQueued},
	}}
	s.Tally()
	if s.Done != 3 || s.Experiments[4].Status != workflows.StatusDone {
		t.Errorf("%d done, shared run %s; want 3 and done", s.Done, s.Experiments[4].Status)
	}
	if want := 370.0; s.ETASeconds != want { // 90 s per estimated hour, 1 + 3 hours left on one slot, 10 s to start the one that waits
		t.Errorf("time left %g s, want %g", s.ETASeconds, want)
	}
	if !(0 < s.ETALow && s.ETALow < s.ETASeconds && s.ETASeconds < s.ETAHigh) {
		t.Errorf("time left %g to %g s, in the middle %g", s.ETALow, s.ETAHigh, s.ETASeconds)
	}
	s.Experiments[3].Status = workflows.StatusRunning
	if s.Tally(); s.ETASeconds != 280 { // two slots: the longer one decides
		t.Errorf("time left on two slots %g s, want 280", s.ETASeconds)
	}
}
