package study

import (
	"testing"

	"trmsweep/internal/protocol"
)

// What is of a part of the puzzles says so; what is over all needs no number beside it.
func TestBestText(t *testing.T) {
	outcome := protocol.Outcome{BestExactAccuracy: 0.1953, Puzzles: 128, BestPuzzles: 128}
	for _, c := range []struct {
		name string
		row  ExperimentResult
		want string
	}{
		{"no evaluation yet", ExperimentResult{Progress: Progress{Step: 5}}, "-"},
		{"an evaluation that solved nothing", ExperimentResult{Progress: Progress{EvalStep: 5, BestPuzzles: 64}}, "0.00% of 64"},
		{"training", ExperimentResult{Progress: Progress{BestExactAccuracy: 0.1406, BestPuzzles: 64}}, "14.06% of 64"},
		{"finished", ExperimentResult{Outcome: &outcome, Progress: Progress{BestExactAccuracy: 0.1406, BestPuzzles: 64}}, "19.53%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.row.BestText(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// A sweep that finds a run finished shows what the sweep that trained it shows.
func TestReusedRunShowsTheSameFigures(t *testing.T) {
	outcome := &protocol.Outcome{FinalExactAccuracy: 0.18, BestExactAccuracy: 0.1953, Puzzles: 128, BestPuzzles: 128, Loss: 0.5}
	trained := ExperimentResult{Outcome: outcome, Progress: Progress{Step: 66, Loss: 0.7, BestExactAccuracy: 0.1406, BestPuzzles: 64}}
	var reused ExperimentResult
	if !reused.Reuse(RunStatus{Finished: true, Steps: 66, Outcome: outcome}) {
		t.Fatal("the finished run is not reused")
	}
	if reused.BestText() != trained.BestText() || reused.LossText() != trained.LossText() {
		t.Errorf("best %s and loss %s, want %s and %s", reused.BestText(), reused.LossText(), trained.BestText(), trained.LossText())
	}
}
