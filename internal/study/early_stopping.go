package study

import (
	"fmt"
	"math"

	"trmsweep/internal/protocol"
)

// Thresholds of a collapse.
const (
	collapseFrom  = 0.01 // an exact accuracy that is worth speaking of
	collapseAfter = 0.2  // least share of the run since the best evaluation
	collapseTo    = 0.5  // share of the best accuracy below which a run has collapsed
)

// Evaluated notes the evaluation in p. It returns why the run has collapsed, or nothing if it has not.
func (r *ExperimentResult) Evaluated(p Progress) string {
	if p.EvalStep == 0 {
		return ""
	}
	if p.EvalExact > r.EvalBest || r.EvalBestStep == 0 {
		r.EvalBest = p.EvalExact
		r.EvalBestStep = p.EvalStep
		return ""
	}
	learnt := r.EvalBest >= collapseFrom
	fallen := p.EvalExact < collapseTo*r.EvalBest
	longPast := float64(p.EvalStep-r.EvalBestStep) >= collapseAfter*float64(r.Item.TotalSteps)
	if !learnt || !fallen || !longPast {
		return ""
	}
	return fmt.Sprintf("stopped early: exact accuracy has fallen from %s at step %d to %s at step %d",
		protocol.PartText(r.EvalBest, p.BestPuzzles), r.EvalBestStep, protocol.PartText(p.EvalExact, p.BestPuzzles), p.EvalStep)
}

// rungs are the shares of a run at which successive halving decides.
var rungs = []float64{1. / 8, 1. / 4, 1. / 2}

// Halving is asynchronous successive halving: an experiment that reaches a rung goes on if it is
// among the best 1/Factor of those that have reached it so far. Nobody waits at a rung, and nobody
// is stopped at one before Factor experiments have reached it. A Factor below 2 stops nobody.
type Halving struct {
	Factor     int
	Accuracies map[int][]float64 // rung -> of the experiments that have reached it
	reached    map[reachedRung]bool
}

type reachedRung struct {
	experiment string
	rung       int
}

// Reached notes the rungs that a running experiment has reached with its last evaluation. It
// returns why to stop the experiment, or nothing if it may go on.
func (h *Halving) Reached(r ExperimentResult) string {
	if h.Factor < 2 || r.Progress.EvalStep == 0 {
		return ""
	}
	if h.Accuracies == nil {
		h.Accuracies = map[int][]float64{}
	}
	if h.reached == nil {
		h.reached = map[reachedRung]bool{}
	}
	accuracy := r.Progress.EvalExact
	for rung, share := range rungs {
		id := reachedRung{r.Item.ID, rung}
		tooEarly := float64(r.Progress.EvalStep) < share*float64(r.Item.TotalSteps)
		if tooEarly || h.reached[id] {
			continue
		}
		h.reached[id] = true
		better := 0
		for _, other := range h.Accuracies[rung] {
			if other > accuracy {
				better++
			}
		}
		h.Accuracies[rung] = append(h.Accuracies[rung], accuracy)
		n := len(h.Accuracies[rung])
		keep := int(math.Ceil(float64(n) / float64(h.Factor)))
		if n >= h.Factor && better >= keep {
			return fmt.Sprintf("stopped early: %s at %g of its steps, %d of %d were better",
				protocol.PartText(accuracy, r.Progress.BestPuzzles), share, better, n-1)
		}
	}
	return ""
}
