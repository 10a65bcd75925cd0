package protocol

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A figure has one definition: evaluations of a part of the puzzles choose the best checkpoint, its
// accuracy is that over all puzzles of the final evaluation.
func TestOutcome(t *testing.T) {
	part := Eval{Step: 44, ExactAccuracy: 0.83, Puzzles: 64}
	full := Eval{Step: 44, ExactAccuracy: 0.78, Puzzles: 128}
	final := Eval{Step: 66, ExactAccuracy: 0.76, Puzzles: 128}
	higherFinal := Eval{Step: 66, ExactAccuracy: 0.80, Puzzles: 128}
	for _, c := range []struct {
		name   string
		result RunResult
		want   Outcome
		best   string
	}{
		{
			"the best checkpoint is better than the last weights",
			RunResult{Best: part, Final: final, BestFull: &full},
			Outcome{FinalExactAccuracy: 0.76, BestExactAccuracy: 0.78, BestStep: 44, Puzzles: 128, BestPuzzles: 128},
			"78.00%",
		},
		{
			"the last weights are better over all puzzles",
			RunResult{Best: part, Final: higherFinal, BestFull: &full},
			Outcome{FinalExactAccuracy: 0.80, BestExactAccuracy: 0.80, BestStep: 66, Puzzles: 128, BestPuzzles: 128},
			"80.00%",
		},
		{
			"the best checkpoint is the last one",
			RunResult{Best: final, Final: final},
			Outcome{FinalExactAccuracy: 0.76, BestExactAccuracy: 0.76, BestStep: 66, Puzzles: 128, BestPuzzles: 128},
			"76.00%",
		},
		{
			"the best checkpoint was lost",
			RunResult{Best: part, Final: final},
			Outcome{FinalExactAccuracy: 0.76, BestExactAccuracy: 0.83, BestStep: 44, Puzzles: 128, BestPuzzles: 64},
			"83.00% of 64",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.result.Outcome()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the outcome (-want +got):\n%s", diff)
			}
			if got.BestText() != c.best {
				t.Errorf("shown as %q, want %q", got.BestText(), c.best)
			}
		})
	}
}
