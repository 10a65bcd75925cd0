package experiment

import "math"

// LearningRate is the reference's schedule at a 1-based step: linear warm-up from
// 0 (so the first step has base/warmup), then half a cosine from base down to
// base*minRatio at step total. Past total the cosine rises again, as in the
// reference; Validate keeps runs from getting there.
func LearningRate(base float64, step, warmup, total int64, minRatio float64) float64 {
	if step < warmup {
		return base * float64(step) / float64(max(1, warmup))
	}
	progress := float64(step-warmup) / float64(max(1, total-warmup))
	return base * (minRatio + max(0, (1-minRatio)*0.5*(1+math.Cos(math.Pi*progress))))
}

// LRAt is the learning rate of the spec's main optimizer at a 1-based step.
func (s Spec) LRAt(step int64) float64 {
	return LearningRate(s.LR, step, int64(s.LRWarmupSteps), s.TotalSteps(), s.LRMinRatio)
}

// PuzzleEmbLRAt is the learning rate of the puzzle embedding at a 1-based step.
func (s Spec) PuzzleEmbLRAt(step int64) float64 {
	return LearningRate(s.PuzzleEmbLR, step, int64(s.LRWarmupSteps), s.TotalSteps(), s.LRMinRatio)
}

// TotalSteps is the length of the schedule in optimizer steps: epochs * puzzles /
// batch, rounded down. An epoch is one augmentation of every puzzle.
func (s Spec) TotalSteps() int64 {
	return int64(s.Epochs) * int64(s.DataPuzzles) / int64(max(1, s.GlobalBatchSize))
}

// StepsPerEval is the number of steps of one iteration, after which the model is
// evaluated: the incomplete last batch is dropped, so it rounds down. 0 is
// refused by Validate.
func (s Spec) StepsPerEval() int64 {
	return int64(s.EvalIntervalEpochs) * int64(s.DataPuzzles) / int64(max(1, s.GlobalBatchSize))
}

// Iterations is the number of evaluations, and of passes of StepsPerEval steps,
// in a run. The reference trains Iterations*StepsPerEval steps, at most TotalSteps.
func (s Spec) Iterations() int64 { return int64(s.Epochs / max(1, s.EvalIntervalEpochs)) }
