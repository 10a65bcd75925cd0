package trm

import (
	"testing"

	"trmsweep/internal/sudoku"
)

// puzzles are n generated sudokus as a batch, a function of the key.
func puzzles(n int, key uint64) StepInput {
	in := StepInput{PuzzleIDs: make([]int32, n)}
	var solver sudoku.Solver
	for i := range n {
		p := solver.Generate(0, key, uint64(i))
		for cell := range SeqLen {
			in.Inputs, in.Labels = append(in.Inputs, 1+p.Question[cell]), append(in.Labels, 1+p.Answer[cell])
		}
	}
	return in
}

// accuracies are the exact and the cell accuracy, and the mean logit of "solved".
func accuracies(t *testing.T, m *Model, in StepInput) (exact, cells, q float64) {
	t.Helper()
	rows, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs)
	if err != nil {
		t.Fatal(err)
	}
	n := float64(len(rows.Exact))
	for i, yes := range rows.Exact {
		if yes {
			exact += 1 / n
		}
		cells += float64(rows.Correct[i]) / float64(rows.Cells[i]) / n
		q += float64(rows.QHalt[i]) / n
	}
	return exact, cells, q
}

// TestLearnsFixedPuzzles trains on a few dozen fixed puzzles until they are
// solved: the whole step, optimizers, EMA, carry, halting and evaluation
// together. Puzzles that were not trained on stay unsolved.
func TestLearnsFixedPuzzles(t *testing.T) {
	const steps, window = 180, 30
	c := Config{BatchSize: 32, GlobalBatchSize: 32, SeqLen: SeqLen, VocabSize: 11, NumPuzzleIdentifiers: 1, PuzzleEmbNDim: 32, PuzzleEmbLen: 1,
		HCycles: 2, LCycles: 1, LLayers: 1, HiddenSize: 32, NumHeads: 2, Expansion: 2, MLPT: true, PosEncodings: "none", RMSNormEps: 1e-5,
		HaltMaxSteps: 4, NoACTContinue: true, ForwardDType: "float32", LossType: "stablemax_cross_entropy",
		WeightDecay: 0.1, Beta1: 0.9, Beta2: 0.95, PuzzleEmbWeightDecay: 0.1, EMA: true, EMARate: 0.95}
	in := puzzles(c.BatchSize, 42)
	m := testModel(t, c)
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	var loss, exact, cells, q []float64 // after every window
	sum := 0.0
	for s := range steps {
		in.Step, in.LR = int64(s+1), 2e-3*min(1, float64(s+1)/50)
		in.PuzzleEmbLR = in.LR
		res, err := m.Step(in)
		if err != nil || !res.Finite {
			t.Fatalf("step %d: loss %v, %v", s+1, res.Loss, err)
		}
		sum += lastMetrics(t, m).LMLoss / float64(c.BatchSize*window)
		if (s+1)%window == 0 {
			e, ce, qe := accuracies(t, m, in)
			loss = append(loss, sum)
			exact = append(exact, e)
			cells = append(cells, ce)
			q = append(q, qe)
			t.Logf("step %3d: loss %.3f, exact %.3f, cells %.3f, q %.2f", s+1, sum, e, ce, qe)
			sum = 0
		}
	}
	last := len(loss) - 1
	if !(loss[0] > 2 && loss[0] < 3) { // ln 11 = 2.4
		t.Errorf("the loss begins at %v, not at that of guessing", loss[0])
	}
	for i := 1; i <= last; i++ {
		if !(loss[i] < loss[i-1]) || cells[i] < cells[i-1]-0.01 || exact[i] < exact[i-1]-0.1 {
			t.Errorf("window %d: loss %v after %v, cells %v after %v, exact %v after %v", i, loss[i], loss[i-1], cells[i],
				cells[i-1], exact[i], exact[i-1])
		}
	}
	if exact[0] != 0 || !(exact[last] > 0.8) {
		t.Errorf("exact accuracy %v: it should rise from 0 to more than 0.8", exact)
	}
	if !(q[last] > q[0]+1) {
		t.Errorf("the q head does not learn that the puzzles are solved: %v", q)
	}
	if e, ce, _ := accuracies(t, m, puzzles(c.BatchSize, 43)); e > 0.1 || ce > 0.6 {
		t.Errorf("puzzles that were never seen: exact %v, cells %v", e, ce)
	}
}
