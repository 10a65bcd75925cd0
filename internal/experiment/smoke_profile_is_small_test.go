package experiment_test

import (
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

// The smoke study must fit into minutes of two cores: its work is bounded here,
// where a slow machine cannot hide it. 17 runs, each with its best checkpoint
// evaluated over the final puzzles once more.
func TestSmokeIsSmall(t *testing.T) {
	specs, err := experiment.ResolveSweep(configs.FS, []string{experiment.AllAblations}, "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	training, evaluating := 0.0, 0.0
	for _, s := range specs {
		if seen[s.Hash()] {
			continue
		}
		seen[s.Hash()] = true
		work := float64(s.TotalSteps()) * s.FLOPsPerStep()
		training += work
		evaluating += s.TotalFLOPs() - work + float64(s.FinalEvalPuzzles)*s.EvalFLOPs()
	}
	if len(seen) != 17 || training+evaluating > 2.1e13 {
		t.Errorf("%d runs, %.3g FLOP of training and %.3g of evaluation, want 17 runs within 2.1e13 in all", len(seen), training, evaluating)
	}
	t.Logf("%.3g FLOP of training, %.3g of evaluation", training, evaluating)
}
