package workflows

import (
	"fmt"
	"math"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
)

// Of stopping on collapse: an accuracy worth speaking of, the share of the run that
// must have passed since it was reached, and what is left of it.
const (
	collapseFrom  = 0.01
	collapseAfter = 0.2
	collapseTo    = 0.5
)

// watch notes evaluations and, where asked for, ends a run that has collapsed.
func (x *training) watch(p activities.Progress) {
	r := &x.res
	if p.EvalStep == 0 {
		return
	}
	if p.EvalExact > r.Best || r.BestStep == 0 {
		r.Best, r.BestStep = p.EvalExact, p.EvalStep
		return
	}
	if !x.in.StopOnCollapse || x.stop == nil || r.Best < collapseFrom || p.EvalExact >= collapseTo*r.Best ||
		float64(p.EvalStep-r.BestStep) < collapseAfter*float64(r.Item.TotalSteps) {
		return
	}
	x.act(Control{Action: ActionStop, Reason: fmt.Sprintf("stopped early: exact accuracy has fallen from %.2f%% at step %d to %.2f%% at step %d",
		100*r.Best, r.BestStep, 100*p.EvalExact, p.EvalStep)})
}

// rungs are the shares of a run at which successive halving decides.
var rungs = []float64{1. / 8, 1. / 4, 1. / 2}

// halve notes what a row has reached at a rung and stops it where it is not among
// the best 1/Halving of those that were there before. It needs Halving rows to compare.
// (Asynchronous successive halving: nobody waits at a rung.)
func (s *sweep) halve(ctx workflow.Context, i int) {
	r := s.res.Experiments[i]
	if s.in.Halving < 2 || r.Progress.EvalStep == 0 || r.Item.SameAs != "" || over(r.Status) {
		return
	}
	for k, at := range rungs {
		if float64(r.Progress.EvalStep) < at*float64(r.Item.TotalSteps) || s.reached[rung{i, k}] {
			continue
		}
		s.reached[rung{i, k}] = true
		better := 0
		for _, x := range s.in.Ladder[k] {
			if x > r.Progress.EvalExact {
				better++
			}
		}
		s.in.Ladder[k] = append(s.in.Ladder[k], r.Progress.EvalExact)
		n := len(s.in.Ladder[k])
		keep := int(math.Ceil(float64(n) / float64(s.in.Halving)))
		if n < s.in.Halving || better < keep {
			continue
		}
		why := fmt.Sprintf("stopped early: %.2f%% at %g of its steps, %d of %d were better", 100*r.Progress.EvalExact, at, better, n-1)
		s.note(r.Item.ID + " " + why)
		workflow.Go(ctx, func(ctx workflow.Context) { s.tell(ctx, i, Control{Action: ActionStop, Reason: why}) })
		return
	}
}

// ended says why an experiment ended before its last step without a failure; "" where it did not.
func (r *ExperimentResult) ended() string {
	switch {
	case r.Status == StatusSkipped:
		return "skipped"
	case r.Status == StatusStopped && r.Reason != "":
		return r.Reason
	case r.Status == StatusStopped:
		return fmt.Sprintf("stopped with step %d of %d saved", r.CommittedStep, r.Item.TotalSteps)
	}
	return ""
}

type rung struct{ row, k int }
