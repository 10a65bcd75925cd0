package study_test

import (
	"strings"
	"testing"

	"trmsweep/internal/study"
)

// At every rung only the better half goes on, as far as it can be known when an experiment gets there.
func TestHalvingKeepsTheBetterHalf(t *testing.T) {
	h := study.Halving{Factor: 2}
	at := func(id string, step int64, accuracy float64) string {
		return h.Reached(study.ExperimentResult{
			Item:     study.Item{ID: id, TotalSteps: 800},
			Progress: study.Progress{EvalStep: step, EvalExact: accuracy},
		})
	}
	for _, c := range []struct {
		id       string
		step     int64
		accuracy float64
		stops    bool
	}{
		{"a", 99, 0.1, false},  // before the first rung
		{"a", 100, 0.1, false}, // the first to get there
		{"b", 120, 0.5, false},
		{"c", 100, 0.2, false},  // second of three
		{"d", 100, 0.15, true},  // third of four
		{"c", 150, 0.01, false}, // between two rungs
		{"b", 200, 0.6, false},
		{"c", 210, 0.3, true}, // second of two
		{"b", 400, 0.6, false},
	} {
		why := at(c.id, c.step, c.accuracy)
		stops := strings.Contains(why, "were better")
		silent := why != "" && !stops
		if stops != c.stops || silent {
			t.Errorf("%s at step %d: %q, want it to stop: %v", c.id, c.step, why, c.stops)
		}
	}
	h = study.Halving{}
	if why := at("a", 400, 0); why != "" {
		t.Errorf("without a factor: %s", why)
	}
}
